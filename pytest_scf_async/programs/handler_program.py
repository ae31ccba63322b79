"""A Python handler as a program: it asks the runtime API for its events, under a supervisor that traces it.

With ``children="simulated"`` the handler is called here, in an interpreter that nothing has patched, so that all that
it starts is on the simulated clock as it is itself. User code finds what it finds in an instance: `handler`, `loading`
and `tracebacks` are the same.

What user code may shadow, and it may have an ``http.py``, is not imported: requests go over ``_socket``. Each has a
connection of its own, so that no descriptor of ours is open while user code runs.
"""

from __future__ import annotations

import _socket
import fcntl
import io
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ..protocol import wait_texts
from ..python import handler, loading, root_logger, tracebacks
from ..python.scheduler.callers import call_of_user, is_library
from . import calls_of_user

if TYPE_CHECKING:
    from ..protocol import messages

_GIVEN: Final = "PYTEST_SCF_ASYNC_HANDLER"
"""The variable that says which handler this is, and what user code is to find in its environment."""
_NETWORK: Final = ("SCF_RUNTIME_API", "SCF_RUNTIME_API_PORT")
_ASKS: Final = "scf_async_context"
_FACT: Final = "scf_async_fact"
LEAVE_OUT: Final = 'leave out children="simulated" there'
NO_DEBUGGER: Final = f'a debugger in a handler has no terminal with children="simulated": {LEAVE_OUT}'


def environment_of(config: messages.Assign, program: messages.ProgramConfig, mark: str) -> dict[str, str]:
    """What the interpreter of this program finds, with what it makes of that for user code.

    Variables of the function's may mean something to an interpreter that starts (PYTHONPATH, PYTHONHOME), and in an
    instance they come after its start. *mark* is the name of the variable that children inherit and code does not see.
    """
    given = {
        "entry": config.entry,
        "module": config.module,
        "function": config.function,
        "directory": config.code_directory,
        "search_path": config.search_path,
        "environment": config.environment,
        "interpreter": list(program.environment),
        "mark": mark,
    }
    return {**program.environment, _GIVEN: json.dumps(given)}


class _Api:
    """The runtime API of this instance."""

    def __init__(self, host: str, port: str) -> None:
        self._address = host, int(port)

    def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[dict[str, str], str]:
        """The headers and the body of the answer."""
        connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        try:
            connection.connect(self._address)
            given = {"Content-Length": str(len(body)), "Connection": "close", **headers}
            fields = "".join(f"{name}: {value}\r\n" for name, value in given.items())
            connection.sendall(f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode() + body)
            parts = []
            while part := connection.recv(1 << 18):
                parts.append(part)
        except OSError:
            os._exit(1)  # there is nobody left to work for
        finally:
            connection.close()
        head, _, answer = b"".join(parts).partition(b"\r\n\r\n")
        pairs = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
        return {name.lower(): value for name, _, value in pairs}, answer.decode()


class _Buffer(io.BufferedWriter):
    """What is written is in the pipe when ``write`` returns, before what a child writes after that.

    It passes by the buffer, whose lock would be held there: a handler of SIGTERM may print while another print is at a
    gate.
    """

    def write(self, data: Any, /) -> int:
        if root_logger.is_debug(bytes(data)):
            _announce_debug(bytes(data))
        with memoryview(data) as view, view.cast("B") as octets:
            written = 0
            while written < len(octets):
                written += self.raw.write(octets[written:]) or 0
        return written


def _open_streams() -> None:
    sys.stdout = sys.__stdout__ = _stream(1, "strict")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(2, "backslashreplace")  # type: ignore[misc]


def _stream(fd: int, errors: str) -> io.TextIOWrapper:
    buffer = _Buffer(io.FileIO(fd, "w", closefd=False))
    return io.TextIOWrapper(buffer, encoding="utf-8", errors=errors, line_buffering=True, write_through=True)


def _take_environment() -> tuple[dict[str, Any], _Api]:
    """Have the environment that user code is to find: the function's, and what belongs to the first event."""
    found = dict(os.environ)
    given: dict[str, Any] = json.loads(found.pop(_GIVEN))
    api = _Api(*(found.pop(name) for name in _NETWORK))
    mark = found.pop(given["mark"], None)
    for name in ("LC_CTYPE", *given["interpreter"]):  # without a locale Python sets the first one itself
        found.pop(name, None)
    os.environ.clear()
    os.environ.update({**given["environment"], **found})
    if mark is not None:
        os.putenv(given["mark"], mark)  # what it starts inherits it
    if "TZ" not in os.environ:
        os.putenv("TZ", "UTC")  # as the platform's containers are
    time.tzset()
    return given, api


def _refuse_debugger(*arguments: Any, **keywords: Any) -> Any:
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*arguments, **keywords)
    raise RuntimeError(NO_DEBUGGER)


def _refuse_records(name: Any, fields: dict[str, Any]) -> None:
    if os.getpid() == _pid:
        raise RuntimeError(
            f'record({name!r}, ...): a handler with children="simulated" cannot make records: have it print, '
            f"or {LEAVE_OUT}"
        )


_pid = os.getpid()


_NAMED: Final = frozenset(
    {"subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn"}
    | {"socket.connect", "fcntl.flock", "fcntl.lockf"}
)
"""Events of ``sys.audit``."""
_noted = bytearray(calls_of_user.BYTES)


def _note_call(event: str, _arguments: object) -> None:
    """Note which call of user code starts a child, connects or locks a file, for the timeline."""
    if event in _NAMED:
        frame, called = call_of_user()
        name = event if not called or called.endswith(".__init__") else called
        text = f"{wait_texts.at(name, frame.f_code.co_filename, frame.f_lineno)}\0".encode("utf-8", "replace")
        _noted[: len(text)] = text if len(text) < len(_noted) else b"\0"


def _announce_debug(data: bytes) -> None:
    """Say that a library is about to write *data*, which it logs at the level DEBUG."""
    if len(data) < calls_of_user.BYTES and os.getpid() == _pid:
        fcntl.ioctl(0, calls_of_user.DEBUG, bytearray(data.ljust(calls_of_user.BYTES, b"\0")), True)


def _load(given: Mapping[str, Any]) -> tuple[Any, str, str]:
    """The handler; or None, what is wrong, and the text about that."""
    path = given["entry"]
    try:
        if not os.path.isfile(path):
            return None, "ENTRY_FILE_MISSING", f"{path} is not there"
        os.chdir(given["directory"])
        sys.path[:0] = given["search_path"]
        function = loading.load_handler(path, given["module"], given["function"])
        if not callable(function):
            raise TypeError(f"{given['module']}.{given['function']} is {function!r}, which cannot be called")
    except Exception as error:
        return None, "CODE_NOT_LOADED", handler.trace_of(error)
    return function, "", ""


def _call(function: Any, payload: str, context: Any) -> handler.Outcome:
    try:
        result = function(json.loads(payload), context)
    except Exception as error:
        return handler.Outcome("RAISED", trace=handler.trace_of(error))
    return handler.returned(result)


def _serve(given: Mapping[str, Any], api: _Api) -> NoReturn:
    """Call the handler with one event after the other, for ever; SystemExit and its like come out."""
    function, fact, why = _load(given)
    _leave_if_forked()
    headers = {_FACT: fact} if fact else {}
    api.call("POST", "/runtime/init/ready", headers, why.encode("utf-8", "backslashreplace"))
    while True:
        answer, payload = api.call("GET", "/runtime/invocation/next", {_ASKS: "1"})
        context, of_event = json.loads(answer[_ASKS])
        handler.set_variables(of_event)
        outcome = _call(function, payload, context)
        handler.flush()
        _leave_if_forked()
        if outcome.text is not None:
            api.call("POST", "/runtime/invocation/response", {_FACT: outcome.fact}, outcome.text.encode())
        else:
            trace = (outcome.trace or "").encode("utf-8", "backslashreplace")
            api.call("POST", "/runtime/invocation/error", {_FACT: outcome.fact}, trace)


def _leave_if_forked() -> None:
    if os.getpid() != _pid:  # a child that user code forked came back out of its code
        os._exit(0)


def main() -> NoReturn:
    """Be the program."""
    code = 1
    try:
        given, api = _take_environment()
        sys.dont_write_bytecode = True
        sys.argv = ["bootstrap.py"]
        _open_streams()
        root_logger.install()
        logging.Handler.handle = root_logger.noting_debug(  # type: ignore[method-assign, assignment]
            logging.Handler.handle, is_library
        )
        sys.breakpointhook = _refuse_debugger
        handler.nobody_debugs(NO_DEBUGGER)
        fcntl.ioctl(0, calls_of_user.REGISTER, _noted, True)
        sys.addaudithook(_note_call)
        setattr(traceback.StackSummary, tracebacks.EXTRACTS, tracebacks.users_extract())
        records = ModuleType(f"{handler.__package__}.records")
        vars(records)["send"] = _refuse_records
        sys.modules[records.__name__] = records
        try:
            _serve(given, api)
        except BaseException as error:
            code = handler.leave(error)
    finally:
        os._exit(code)
