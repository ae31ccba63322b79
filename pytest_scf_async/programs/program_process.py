"""The process of a program that an instance's process starts as its child: how it becomes the program, and its end.

Both who starts it to see real time and who traces it do so in this way.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from ..linux import linux
from ..protocol import messages
from . import bind_filter


class Started(NamedTuple):
    """A child that waits before it becomes the program."""

    pid: int
    why: int
    """A pipe from which comes why it cannot be started; it closes when the program runs."""
    held: tuple[int, ...]

    def begin(self) -> None:
        """Let it go on: the test's process has been informed of it, so that the program may write."""
        for fd in self.held:
            os.close(fd)


def start(
    program: messages.ProgramConfig,
    environment: Mapping[str, str],
    invocation: messages.Invoke | None,
    *,
    before_exec: Callable[[], object] = lambda: None,
) -> Started:
    """Fork the child that becomes *program*; see `_become`. It dies with this process."""
    if not program.own_network:
        bind_filter.forget(program.port)
    read, write = os.pipe2(os.O_CLOEXEC)
    may_begin, begin = os.pipe2(os.O_CLOEXEC)
    # A signal that arrives before the program runs stays pending for it; handlers of this process would swallow it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid == 0:
        linux.die_with_parent()  # at once: it may not be traced yet
        os.close(begin)
        os.read(may_begin, 1)
        _become(program, environment, invocation, write, before_exec=before_exec)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return Started(pid, read, (may_begin, begin, write))


def _become(
    program: messages.ProgramConfig,
    environment: Mapping[str, str],
    invocation: messages.Invoke | None,
    error_to: int,
    *,
    before_exec: Callable[[], object],
) -> NoReturn:
    """In a forked child that blocks all signals: execute *program*, or write to *error_to* why that cannot be.

    *environment* is what all its events have, *invocation* the first of them, which may have variables of its own.
    *before_exec* is called last, before signals come again.
    """
    argv = program.argv
    try:
        for number in signal.valid_signals():
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                continue
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        _enter(program.directory)
        given = {} if invocation is None else invocation.environment
        own = {name: value for name, value in given.items() if value is not None}
        before_exec()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(program.path, argv, {**environment, **own})
    except OSError as error:
        what = f"{argv[0]}: {error.strerror or error}"
        if error.errno == errno.ENOENT and os.path.exists(program.path):
            what += ", though the file is there: the interpreter that it names is not"
        elif error.errno == errno.EACCES and not os.access(program.path, os.X_OK):
            what += ": it may not be executed (chmod +x)"
        elif error.errno == errno.E2BIG:
            what += (
                ": one variable of its environment, such as the event of a job image, has 128 KB at most with its name"
            )
        elif error.errno == errno.ENOEXEC:
            what += ": it is neither a program for this machine nor a script with a #! line"
        os.write(error_to, what.encode())
    except BaseException as error:
        os.write(error_to, f"{argv[0]}: {type(error).__name__}: {error}".encode())
    os._exit(messages.SETUP_FAILED)


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise RuntimeError(f"its directory {directory!r} cannot be entered: {error.strerror}") from None


def peak_memory_at_end() -> int:
    """The most bytes that the program, for which this process has waited, had in memory.

    0 where that is not more than this process had: its child had as much before it became the program.
    """
    its, own = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    return its * 1024 if its > own else 0


def end_as(status: int) -> NoReturn:
    """End as the program did, which ended with *status* (of ``waitpid``)."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))
