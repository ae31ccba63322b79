"""What an instance does from its fork to its end: become an instance, then one event after the other."""

from __future__ import annotations

import array
import atexit
import decimal
import errno
import faulthandler
import gc
import json
import mmap
import os
import resource
import select
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from ..protocol import linux, messages
from . import (
    clock,
    debugger,
    literal_tmp,
    loading,
    loopback,
    mounts,
    thread_table,
    tracebacks,
)
from .patches import (
    output,
    signals,
    socket_waits,
    sockets,
    threads,
)
from .scheduler.door import door

RESULT_LIMIT = 6 * 1024 * 1024


def _page(fd: int) -> Any:
    return memoryview(mmap.mmap(fd, messages.PAGE_BYTES)).cast("q")


def _too_many_reads() -> None:
    door.park(clock.now_us() + clock.READ_WAIT_US, "a loop that polls the clock")
    clock.reads = clock.reads_limit  # such a wait is no progress: the next read is one too


def prepare(environment: dict[str, str]) -> None:
    """What can be done before the fork, in the zygote: a page that an instance need not write need not be copied.

    From one instance to the next little of the environment changes.
    """
    before = dict(os.environ)
    for name in before.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if before.get(name) != value:
            os.environ[name] = value
    if before.get("TZ", "unset") != environment.get("TZ"):
        clock.fake_tzset()


def _stand_ready(nonce: str, fds: Sequence[int], zygote: int) -> socket.socket:
    """Become an instance, of whatever function: all that does not depend on it. Gives the channel."""
    channel_fd, pipe, control_file, attention = fds
    os.setsid()
    linux.die_with_parent()
    linux.adopt_orphans()
    if os.getppid() != zygote:
        os._exit(0)
    os.dup2(pipe, 1)
    os.dup2(pipe, 2)
    control = memoryview(mmap.mmap(control_file, messages.STACKS_OFFSET))
    pages = control[: messages.PAGE_BYTES].cast("q"), control[messages.TEXTS_OFFSET : messages.THREADS_OFFSET]
    faulthandler.register(linux.STACKS_SIGNAL, file=control_file, all_threads=True)
    thread_table.keep_in(control[messages.THREADS_OFFSET :])
    channel = socket.socket(fileno=channel_fd)
    door.attach(channel, attention, pages, (pipe, messages.mark_of(nonce)), signals.watch())
    return channel


def _rehearse(control_file: int) -> None:
    """Do once what every start does, while nobody waits: after a fork each page has to be copied that is written."""
    prepare(dict(os.environ))
    sample = {"number": 1, "words": ["one", None, True], "nested": {"text": "one"}}
    json.loads(messages.json_frame(messages.INIT_DONE, sample)[messages.HEADER.size :])
    _call(lambda event, context: event, {"payload": _result_text(sample), "context": sample})
    loading.rehearse()
    mounts.rehearse()
    os.path.isfile(__file__)
    os.chdir("/")
    _page(control_file).release()
    _peak_rss()


def _hear_what_to_be(channel: socket.socket) -> tuple[messages.JsonObject, int, list[int]]:
    """Wait for the first frame: what it says, the descriptor of the clock's page, and others."""
    frames = messages.FrameReader()
    clock_file, others = -1, []
    while True:
        data, ancillary, _, _ = channel.recvmsg(1 << 16, socket.CMSG_SPACE(3 * 4), socket.MSG_CMSG_CLOEXEC)
        if not data:
            os._exit(0)  # nobody needed it
        for _, _, payload in ancillary:
            clock_file, *others = array.array("i", payload[: len(payload) // 4 * 4])
        found = list(frames.feed(data))
        if found and clock_file < 0:  # the kernel drops a descriptor for which there is no room
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if found:
            _, body = found.pop(0)
            door.heard = found
            door.frames = frames
            return json.loads(body), clock_file, others


def _become(config: messages.JsonObject, clock_file: int, others: list[int]) -> None:
    """Become an instance of the function that *config* says."""
    prepare(config["environment"])
    if config["sandbox"] is not None:
        mounts.complete(config["sandbox"]["own"])
    program = config["program"]
    if program is not None and program["own_network"]:
        loopback.enter()
        if program["ports"]:
            loopback.relay(program["ports"], others.pop())
    mounts.drop_capabilities()
    if program is not None and program["free_running"]:
        os.close(clock_file)
        return  # its agent waits in real time
    clock_page = _page(clock_file)
    os.close(clock_file)
    clock.attach(clock_page, config["clock_reads_before_wait"], _too_many_reads)
    door.join(clock_page)
    if config["network"] == "loopback":
        sockets.guard(config["deployed_by"])
    if config["idle_ok"]:
        socket_waits.install(config["idle_ok"])
    if config["debugger"]:
        debugger.install()
    if config["coverage"] is not None:
        from . import coverage as covered  # noqa: PLC0415  (it imports coverage)

        (sink,) = others
        covered.start(config["coverage"], sink)


class _Unserialisable(Exception):
    pass


def _result_text(result: object) -> str:
    def default(value: object) -> str:
        if isinstance(value, decimal.Decimal):
            return str(value)
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    text = json.dumps(result, ensure_ascii=False, default=default)
    text.encode("utf-8")
    return text


def _failure(fact: str, error: BaseException) -> messages.JsonObject:
    trace = tracebacks.format_exception(error)
    if type(error).__name__ == "BdbQuit" and not debugger.enabled:  # pdb found nobody to ask
        trace += f"{debugger.NO_TERMINAL}\n"
    return {"fact": fact, "trace": trace}


def _call(handler: Any, invocation: messages.JsonObject) -> messages.JsonObject:
    try:
        door.ring_overdue()
        result = handler(json.loads(invocation["payload"]), invocation["context"])
    except Exception as error:
        return _failure("RAISED", error)
    try:
        text = _result_text(result)
    except Exception as error:
        return _failure("RESULT_NOT_JSON", error)
    size = len(text.encode("utf-8"))
    if size > RESULT_LIMIT:
        return {"fact": "RESULT_TOO_LARGE", "bytes": size}
    return {"fact": "RETURNED", "text": text}


def _initialise(config: messages.JsonObject) -> Any:
    """The user's handler; None when the harness has been told why there is none."""
    path = config["entry"]
    try:
        if not os.path.isfile(path):
            answer: messages.JsonObject = {"fact": "ENTRY_FILE_MISSING", "trace": f"{path} is not there"}
        else:
            if config["sandbox"] is None:
                literal_tmp.watch(config["known_tmp"])
            _enter_code(config)
            handler = loading.load_handler(path, config["module"], config["function"])
            if callable(handler):
                door.tell(messages.json_frame(messages.INIT_DONE, {"fact": None, "rss": _peak_rss() - _start_rss}))
                if config["memory_limited"]:
                    door.yield_turn()  # the harness looks at it before the first line of the handler
                return handler
            raise TypeError(f"{config['module']}.{config['function']} is {handler!r}, which cannot be called")
    except Exception as error:
        answer = _failure("CODE_NOT_LOADED", error)
    door.tell(messages.json_frame(messages.INIT_DONE, {**answer, "rss": _peak_rss() - _start_rss}))
    return None


_entered_code = False


def _enter_code(config: messages.JsonObject) -> None:
    global _entered_code
    if not _entered_code:
        os.chdir(config["code_directory"])
        sys.path[:0] = config["search_path"]
        _entered_code = True


def _prepare_for_test(config: messages.JsonObject) -> bool:
    """Call the test's own function; False when it failed, and the harness has been told."""
    wanted = config["before_init"]
    directory = wanted["directory"]
    try:
        _enter_code(config)
        found_already = directory in sys.path
        sys.path.insert(len(config["search_path"]), directory)
        try:
            function = loading.load_handler(wanted["entry"], wanted["module"], wanted["function"])
            arguments = json.loads(wanted["arguments"])
            if isinstance(arguments, dict):
                function(**arguments)
            else:
                function(*arguments)
        finally:
            if directory in sys.path:
                sys.path.remove(directory)
            if (
                not found_already
            ):  # what it imports later is found, and nothing of the function's comes from there first
                sys.path.append(directory)
    except BaseException as error:  # SystemExit is no end of the function either
        if door.active:
            door.tell(
                messages.json_frame(messages.INIT_DONE, {**_failure(messages.BEFORE_INIT_RAISED, error), "rss": 0})
            )
            return False
    if not door.active:  # a child that it forked came back out of it
        os._exit(0)
    return True


def _peak_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


_start_rss = 0


def _serve(config: messages.JsonObject) -> None:
    """One event after the other, for ever; SystemExit and its like come out."""
    if config["program"] is not None:
        _serve_program(config)
        return
    handler: Any = None
    while True:
        invocation = door.idle()
        if handler is None:
            if not _may_begin(config, invocation):
                continue
            handler = _initialise(config)
            if handler is None:
                continue
        else:
            signals.stand_if_listening()  # it listens since an earlier event
        _apply_environ(invocation)
        answer = _call(handler, invocation)
        output.flush()
        if not door.active:  # a child that user code forked came back out of the handler
            os._exit(0)
        if door.save is not None:
            door.save()
        answer["rss"] = _peak_rss() - _start_rss
        door.send(messages.json_frame(messages.RESULT, answer))


def _may_begin(config: messages.JsonObject, invocation: messages.JsonObject) -> bool:
    """Before the first line of user code: the test's own function, then a gate; whether the former did not fail."""
    if config["before_init"] is not None and not _prepare_for_test(config):
        return False
    if invocation["gate"] is not None:
        door.gate({"id": invocation["gate"], "at": "init"})
    return True


def _apply_environ(invocation: messages.JsonObject) -> None:
    for pair in invocation["context"]["environ"].split(";"):
        name, _, value = pair.partition("=")
        os.environ[name] = value


def _serve_program(config: messages.JsonObject) -> None:
    """Be the program of an image; returns when it does, as a process then ends."""
    if config["program"]["free_running"]:
        from . import agent  # noqa: PLC0415

        agent.serve(config)
    from . import image  # noqa: PLC0415  (only images need it)

    while True:
        invocation = door.idle()
        if _may_begin(config, invocation):
            break
    image.open_gateway(config["program"], invocation)
    image.run(config["program"])


def _exit_code(error: BaseException) -> int:
    """What the interpreter makes of *error* when it leaves the main module."""
    if not isinstance(error, SystemExit):
        sys.stderr.write(tracebacks.format_exception(error))
        return 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1


def _leave(error: BaseException) -> int:
    try:
        code = _exit_code(error)
        threads.join_all()
        atexit._run_exitfuncs()
        output.flush()
    except BaseException as another:
        code = _exit_code(another)
    return code


def main(nonce: str, fds: Sequence[int], zygote: int) -> NoReturn:
    """The life of an instance, in a process just forked from *zygote*; *fds* are those that came with the request."""
    global _start_rss
    code = messages.SETUP_FAILED
    try:
        try:
            channel = _stand_ready(nonce, fds, zygote)
            if not select.select([channel], [], [], 0)[0]:
                _rehearse(fds[2])
            config, clock_file, others = _hear_what_to_be(channel)
            _become(config, clock_file, others)
            gc.enable()
            _start_rss = door.control_page[messages.CONTROL_MEMORY_AT_FORK] = _peak_rss()
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            os._exit(messages.SETUP_FAILED)
        try:
            _serve(config)
            code = _leave(SystemExit())
        except BaseException as error:
            code = _leave(error)
        door.hear_last_words()
    finally:
        os._exit(code)
