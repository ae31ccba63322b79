"""The agent of a program that cannot see the simulated clock: another language, or a Python that is not the test's.

The instance's process is the agent; it starts the program as its child, in the same sandbox and network, and speaks to
it. It ends as the program does, so that whoever asks how the instance ended hears how the program did.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import select
import signal
import socket
from typing import NoReturn, Protocol

from ..protocol import linux, messages
from . import clock
from .scheduler.door import door
from .scheduler.waiters import real_poll

READY_LOOK_MS = 5
"""Real milliseconds between two looks whether the program listens."""
EXIT_LOOK_MS = 100
EXIT_LOOKS = 50
"""Looks at a program that has hung up in the middle of an event: it ends, or goes on and waits."""


LAST_WORDS_MS = 1_000
"""Real milliseconds within which the last words of a program that has ended have come."""


class Talk(Protocol):
    """How a program is spoken to, without ever waiting."""

    def descriptors(self) -> dict[int, int]: ...
    def is_ready(self) -> bool: ...
    def only_host(self) -> str: ...
    def ask(self, invocation: messages.JsonObject) -> bool: ...
    def hear(self) -> messages.JsonObject | None: ...


class Agent:
    def __init__(self, config: messages.JsonObject, talk: Talk) -> None:
        self._program: messages.JsonObject = config["program"]
        self._environment: dict[str, str] = {**config["environment"], **self._program["environment"]}
        self._talk = talk
        self._channel: socket.socket = door.channel
        self._frames = door.frames
        self._pid = 0
        self._pidfd = -1
        self._gated = False
        self._ready = False
        self._asked = False
        self._waiting: messages.JsonObject | None = None
        """The event that the program is given once it listens."""

    def serve(self) -> NoReturn:
        """Deal with what comes from the harness and from the program, until one of them ends."""
        self._take(door.heard)
        while True:
            poller = real_poll()
            poller.register(self._channel.fileno(), select.POLLIN)
            if self._pidfd >= 0:
                poller.register(self._pidfd, select.POLLIN)
            for fd, events in self._talk.descriptors().items():
                poller.register(fd, events)
            starting = self._pid and not self._ready
            ready = {fd for fd, _ in poller.poll(READY_LOOK_MS if starting else None)}
            if self._channel.fileno() in ready:
                self._hear()
            if self._pid:
                self._look()
            if self._pidfd in ready:
                self._end_as_program()

    def _hear(self) -> None:
        data = self._channel.recv(65_536)
        if not data:
            os._exit(0)  # the harness is gone, and the program goes with this process
        self._take(list(self._frames.feed(data)))

    def _take(self, frames: list[tuple[int, bytes]]) -> None:
        for kind, body in frames:
            if kind == messages.INVOKE:
                invocation = json.loads(body)
                self._waiting = invocation
                if not self._pid and invocation["gate"] is not None:
                    self._gated = True
                    self._send(messages.GATED, {"id": invocation["gate"], "main": True})
                elif not self._pid:
                    self._start()
            elif kind == messages.OPEN_GATE and self._gated:
                self._gated = False
                self._start()

    def _look(self) -> None:
        if not self._ready:
            self._ready = self._talk.is_ready()
            if self._ready:
                self._initialised(None, "")
            elif host := self._talk.only_host():
                from .event_invoke import only_localhost  # noqa: PLC0415

                self._ready = True
                self._waiting = None
                self._initialised("PORT_NOT_BOUND", only_localhost(host, self._program["port"]))
        if self._ready and self._waiting is not None:
            invocation, self._waiting = self._waiting, None
            self._asked = self._talk.ask(invocation)
            if not self._asked:
                self._answer({"fact": "PORT_NOT_BOUND", "trace": "the program listens on its port no more"})
        answer = self._talk.hear() if self._asked else None
        if answer is not None:
            self._asked = False
            self._answer(answer)

    def _initialised(self, fact: str | None, trace: str) -> None:
        self._send(
            messages.INIT_DONE, {"fact": fact, "trace": trace, "rss": self._peak_rss(), "at": clock.real_monotonic()}
        )

    def _answer(self, answer: messages.JsonObject) -> None:
        if answer["fact"] == "BROKEN":
            if self._ends():
                self._end_as_program()
            answer = {"fact": "RAISED", "trace": answer["why"]}
        self._send(messages.RESULT, {**answer, "rss": self._peak_rss(), "at": clock.real_monotonic()})

    def _ends(self) -> bool:
        """Whether the program, which has hung up, ends; not where all of it waits, as a server does."""
        poller = real_poll()
        poller.register(self._pidfd, select.POLLIN)
        before: list[bytes] | None = None
        for _ in range(EXIT_LOOKS):
            if poller.poll(EXIT_LOOK_MS):
                return True
            now = self._threads_at_rest()
            if now is not None and now == before:
                return False
            before = now
        return False

    def _threads_at_rest(self) -> list[bytes] | None:
        """Its threads and the processor time of each, where all of them wait; else None."""
        found = []
        try:
            for name in sorted(os.listdir(f"/proc/{self._pid}/task")):
                with open(f"/proc/{self._pid}/task/{name}/stat", "rb", buffering=0) as file:
                    fields = file.read().rpartition(b")")[2].split()
                if fields[0] != b"S":
                    return None
                found.append(b" ".join([name.encode(), *fields[11:13]]))
        except OSError:
            return None
        return found

    def _send(self, kind: int, body: messages.JsonObject) -> None:
        if kind in messages.MARKED:
            os.write(door.marks, door.mark)
        try:
            self._channel.sendall(messages.json_frame(kind, body))
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)

    def _peak_rss(self) -> int:
        try:
            with open(f"/proc/{self._pid}/status", "rb", buffering=0) as file:
                lines = file.read().splitlines()
        except OSError:
            return 0
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"VmHWM:"))

    # -- the program -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start the program; where it cannot be, the event has ended."""
        read, write = os.pipe2(os.O_CLOEXEC)
        may_begin, begin = os.pipe2(os.O_CLOEXEC)
        self._change_forks()
        pid = os.fork()
        if pid == 0:
            os.close(begin)
            os.read(may_begin, 1)
            self._become_program(write)
        self._change_forks()
        self._send(messages.PROGRAM, {"pid": pid})
        for fd in (may_begin, begin, write):  # the harness knows the process before it can write a line
            os.close(fd)
        with open(read, "rb", buffering=0) as file:
            why = file.read()  # it ends when the program runs
        if why:
            os.waitpid(pid, 0)
            self._initialised("NOT_STARTED", why.decode("utf-8", "replace"))
            return
        self._pid, self._pidfd = pid, os.pidfd_open(pid)

    @staticmethod
    def _change_forks() -> None:
        door.control_page[messages.CONTROL_FORKS] += 1

    def _become_program(self, told: int) -> NoReturn:
        argv: list[str] = self._program["argv"]
        try:
            linux.die_with_parent()
            for number in signal.valid_signals():
                try:
                    signal.signal(number, signal.SIG_DFL)
                except (OSError, ValueError):
                    continue
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            self._enter_directory()
            os.execve(self._program["path"], argv, self._environment)
        except OSError as error:
            what = f"{argv[0]}: {error.strerror or error}"
            if error.errno == errno.ENOENT and os.path.exists(self._program["path"]):
                what += ", though the file is there: the interpreter that it names is not"
            elif error.errno == errno.EACCES and not os.access(self._program["path"], os.X_OK):
                what += ": it may not be executed (chmod +x)"
            elif error.errno == errno.ENOEXEC:
                what += ": it is no program for this machine, nor a script with a #! line"
            os.write(told, what.encode())
        except BaseException as error:
            os.write(told, f"{argv[0]}: {type(error).__name__}: {error}".encode())
        os._exit(messages.SETUP_FAILED)

    def _enter_directory(self) -> None:
        directory = self._program["directory"]
        try:
            os.chdir(directory)
        except OSError as error:
            raise RuntimeError(f"its directory {directory!r} cannot be entered: {error.strerror}") from None

    def _end_as_program(self) -> NoReturn:
        """The program has ended: say when, and end in the same way; what it had answered before comes first."""
        while self._asked and _is_readable(self._talk.descriptors(), LAST_WORDS_MS):
            answer = self._talk.hear()
            self._asked = answer is None
            if answer is not None and answer["fact"] != "BROKEN":
                self._answer(answer)
        _, status = os.waitpid(self._pid, 0)
        self._send(messages.PROGRAM, {"pid": 0, "at": clock.real_monotonic()})
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.kill(os.getpid(), number)
        os._exit(os.WEXITSTATUS(status))


def _is_readable(descriptors: dict[int, int], milliseconds: int) -> bool:
    """Whether there is something at one of them within so many real *milliseconds*."""
    poller = real_poll()
    for fd, events in descriptors.items():
        poller.register(fd, events)
    return bool(descriptors) and bool(poller.poll(milliseconds))


def serve(config: messages.JsonObject) -> NoReturn:
    """Be the agent of the program that *config* tells of."""
    program = config["program"]
    talk: Talk
    if program["speaks"] == "gob":
        from .go_client import GoTalk  # noqa: PLC0415

        talk = GoTalk(program["helper"], program["port"])
    else:
        from .event_invoke import EventInvoke  # noqa: PLC0415  (it imports http.client)

        talk = EventInvoke(program["port"], program["headers"])
    Agent(config, talk).serve()
