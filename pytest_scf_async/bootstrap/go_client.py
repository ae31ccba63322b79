"""The talk with a Go function through the helper of ours (``go_helper``): is it ready, an event, what came of it."""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
from typing import Any, NoReturn

from ..protocol import messages

RESULT_LIMIT = 6 * 1024 * 1024
"""Bytes of JSON that a function may return, as in ``model``, which is not there inside an instance."""
PIPE_BYTES = 1 << 20
"""What an ordinary user may have: the fewer turns a large payload takes."""
SHOWN = 200
"""Characters of a result that is not JSON that are shown."""


class GoTalk:
    """The one side of the talk: the agent asks and hears; nothing here waits but `close`, for a process that it killed.

    *helper_path* is the helper's executable, *port* the function's on the loopback of this process's network namespace.
    Raises ``OSError`` where the helper cannot be started. It is a child of this process, in a session of its own, where
    no signal to the function's process group meets it, and ends when this process does, or the thread that made it.
    """

    def __init__(self, helper_path: str, port: int) -> None:
        self._errors = os.memfd_create("go-helper-errors")  # a pipe that nobody reads could block it
        try:
            self._helper = subprocess.Popen(
                [helper_path, str(port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                env={},  # nothing that user code sets for its own Go program
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            os.close(self._errors)
            raise
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        self._input, self._output = self._helper.stdin.fileno(), self._helper.stdout.fileno()
        os.set_blocking(self._output, False)
        for pipe in (self._input, self._output):
            try:
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            except OSError:
                pass  # this user has too many large ones: then it takes more turns
        self._line = bytearray()
        self._ready = False
        self._asked = False
        self._answer: messages.JsonObject | None = None
        self._broken: str | None = None

    @property
    def pid(self) -> int:
        """The helper's process id: it is none of the function's processes."""
        return self._helper.pid

    def descriptors(self) -> dict[int, int]:
        """What to poll, and for which events, then to call `is_ready` or `hear`; none once the talk is over."""
        return {} if self._broken is not None else {self._output: select.POLLIN}

    def only_host(self) -> str:
        """The library listens on all addresses."""
        return ""

    def is_ready(self) -> bool:
        """Whether the function has answered a ping, ever."""
        self._read()
        return self._ready

    def ask(self, invocation: messages.JsonObject) -> bool:
        """Have the function called: ``payload`` (JSON text) and ``context``, whose time limit counts from now; True.

        Only once the answer to the last one has been heard, and not while the helper is stopped: it reads at once, so
        that even a payload of megabytes takes milliseconds.
        """
        assert not self._asked, "the last invocation has not been answered"
        context = invocation["context"]
        told = {
            "payload": invocation["payload"],
            "context": context,
            "timeout_seconds": context["time_limit_in_ms"] / 1000,
            "environment": context["environment"],
        }
        self._asked = True
        rest = memoryview(json.dumps(told, ensure_ascii=False).encode() + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._input, rest) :]
        except BrokenPipeError:
            pass  # what has become of it is heard
        return True

    def hear(self) -> messages.JsonObject | None:
        """The body of a RESULT, once there is an answer to what was asked; None until then.

        ``fact`` is RETURNED (``text``), RAISED (``trace``, and ``should_exit``: it was a panic, after which the
        platform does not use the process again), RESULT_NOT_JSON (``trace``), RESULT_TOO_LARGE (``bytes``), or BROKEN
        (``why``) where the connection is gone, for good: most likely the process is ending, or has ended. After the
        process's end one of these comes, but not at the same moment.
        """
        self._read()
        if self._asked and self._answer is not None:
            answer, self._answer, self._asked = self._answer, None, False
            return _result(answer)
        if self._broken is not None:
            self._asked = False
            return {"fact": "BROKEN", "why": self._broken}
        return None

    def close(self) -> None:
        """End the helper. To be called once, at the latest when this process is done with the function."""
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        self._helper.kill()
        self._helper.wait()
        self._helper.stdin.close()
        self._helper.stdout.close()
        os.close(self._errors)
        self._broken = self._broken or "the talk was closed"

    # -- inside ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        while self._broken is None:
            try:
                data = os.read(self._output, PIPE_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._broken = self._last_words()
                return
            *ends, rest = data.split(b"\n")
            for end in ends:
                self._line += end
                self._take(json.loads(self._line))
                self._line = bytearray()
            self._line += rest

    def _take(self, told: messages.JsonObject) -> None:
        if "ready" in told:
            self._ready = True
        elif "broken" in told:
            self._broken = f"the connection to the function is gone: {told['broken']}"
        else:
            self._answer = told

    def _last_words(self) -> str:
        """Why the helper ended, which it does by itself only when something is wrong with it."""
        words = os.pread(self._errors, 4096, 0).decode("utf-8", "replace").strip()
        return f"the helper that speaks to the function has ended: {words or 'it was killed'}"


def _result(answer: messages.JsonObject) -> messages.JsonObject:
    if "error" in answer:
        error = answer["error"]
        return {"fact": "RAISED", "trace": trace_text(error), "should_exit": bool(error["should_exit"])}
    if "payload_base64" in answer:
        encoded = str(answer["payload_base64"])
        size = len(encoded) // 4 * 3 - encoded[-2:].count("=")
        if size <= RESULT_LIMIT:
            return {"fact": "RESULT_NOT_JSON", "trace": "the result is not JSON: its bytes are no UTF-8"}
        return {"fact": "RESULT_TOO_LARGE", "bytes": size}
    text = str(answer["payload"])
    size = len(text.encode())
    if size > RESULT_LIMIT:
        return {"fact": "RESULT_TOO_LARGE", "bytes": size}
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        shown = text if len(text) <= SHOWN else text[:SHOWN] + "…"
        return {"fact": "RESULT_NOT_JSON", "trace": f"the result is not JSON: {error}: {shown!r}"}
    return {"fact": "RETURNED", "text": text}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no value of JSON")


def trace_text(error: dict[str, Any]) -> str:
    """What the function answered as its *error*, in the form of Python's tracebacks: the last line says what it was."""
    frames = [f"  {each['path']}:{each['line']}, in {each['label']}" for each in reversed(error["stack"])]
    name = error["type"] or "error"
    if error["should_exit"]:
        name = f"panic ({name})"
    heading = ["Goroutine (most recent call last):"] if frames else []
    return "\n".join([*heading, *frames, f"{name}: {error['message']}"])
