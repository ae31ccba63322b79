"""Whether programs can be traced here: a tiny one is, and the clocks that it reads are compared with what was set.

What refuses it differs: a filter of system calls around a container, a setting of the kernel, a processor of which
there is no table. Some of these refuse nothing and do something else instead. So nothing is concluded from versions and
settings: the program runs as every other would, in a process that is forked from the zygote as instances are.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import sys
from typing import Final, NoReturn

from ...linux import linux
from ...python import clock
from ...side.originals import real_poll
from . import filter as seccomp
from . import tracee
from .timeouts import NS, Clocks
from .tree import Hooks, Tree

TRIALS: Final = 3
"""So many trials have to fail, unless the kernel refuses something: anybody may send a signal to a program."""
LIMIT: Final = 15.0
"""Real seconds within which the program has to have ended: it starts a Python, on a machine however busy."""
_STEP_MS: Final = 1
_YAMA: Final = "/proc/sys/kernel/yama/ptrace_scope"
_SCOPES: Final = {
    "2": "only a process with CAP_SYS_PTRACE may trace another (kernel.yama.ptrace_scope is 2)",
    "3": "no process may trace another (kernel.yama.ptrace_scope is 3)",
}
_BY_A_FILTER: Final = "; a filter of system calls or a security module forbids it, as in some containers"
_OF_FILTERS: Final = frozenset({errno.EPERM, errno.ENOSYS})
"""How container engines have their filters refuse a call."""
_SET_NS: Final = 2_000_000_000 * NS
"""What the clock shows when the program starts: 2033-05-18."""
_UPTIME_NS: Final = 3600 * NS
_SLEEP: Final = 30
_PROGRAM: Final = f"""
import time
before, began = time.time_ns(), time.monotonic_ns()
time.sleep({_SLEEP})
print(before, time.time_ns(), time.monotonic_ns() - began)
"""
_ROUGHLY_NS: Final = 2000
"""Some Pythons wait in a call that ends a little after its timeout."""
_TEXT_BYTES: Final = 65_536


class _RefusedError(Exception):
    """The kernel refuses something that is needed; its text is the reason."""


def why_not() -> str:
    """Why this process cannot trace a program; empty: it can, and has.

    It has no other children, and none that it waits for in another way.
    """
    if tracee.MACHINE not in tracee.ARCHITECTURES or struct.calcsize("P") != 8:
        return f"programs for this processor ({tracee.MACHINE}, {8 * struct.calcsize('P')} bits) are not known"
    why = ""
    for _ in range(TRIALS):
        try:
            why = _Trial().run()
        except _RefusedError as error:
            return str(error)
        except OSError as error:
            why = f"a program could not be traced to its end ({error.strerror or error})"
        if not why:
            return ""
    return f"{why}, in each of {TRIALS} trials"


class _Trial:
    """One run of the program."""

    def __init__(self) -> None:
        self._now = _SET_NS
        self._status: int | None = None
        hooks = Hooks(clocks=self._clocks, real_monotonic=clock.real_monotonic, process_ended=self._ended)
        self._tree = Tree(hooks)

    def _clocks(self) -> Clocks:
        return Clocks(self._now, self._now - _SET_NS + _UPTIME_NS)

    def _ended(self, pid: int, status: int) -> None:  # noqa: ARG002
        self._status = status

    def run(self) -> str:
        place = ctypes.create_string_buffer(b"here")
        output, write = os.pipe2(os.O_CLOEXEC)
        may_begin, begin = os.pipe2(os.O_CLOEXEC)
        failed, report = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            os.close(begin)
            os.read(may_begin, 1)
            _become_program(write, report)
        for fd in (may_begin, write, report):
            os.close(fd)
        try:
            self._adopt(pid)
            _reach(pid, ctypes.addressof(place))
            os.close(begin)
            begin = -1
            if why := self._drive():
                return why
            refusal = os.read(failed, _TEXT_BYTES)
            if refusal:
                raise _RefusedError(refusal.decode("utf-8", "replace"))
            return self._compare(os.read(output, _TEXT_BYTES).decode("utf-8", "replace"))
        finally:
            if self._status is None:
                _end(pid)
            for fd in (output, failed, *([begin] if begin >= 0 else [])):
                os.close(fd)

    def _adopt(self, pid: int) -> None:
        try:
            self._tree.adopt(pid)
        except ProcessLookupError:
            raise  # it was killed
        except OSError as error:
            raise _RefusedError(_why_no_ptrace(error)) from None

    def _drive(self) -> str:
        """Let the program run to its end, and the clock to whatever it waits for; why it has none, or an empty text."""
        tree, poller = self._tree, real_poll()
        until = clock.real_monotonic() + LIMIT
        while tree.threads:
            if clock.real_monotonic() > until:
                return f"a traced program did not end within {LIMIT:g} s"
            if tree.step():
                continue
            if any(thread.stopped for thread in tree.threads.values()):
                return "a traced program was stopped by a signal"
            due = tree.first()
            if due is not None and tree.settled():
                self._now = max(due.due_ns, self._now)
                tree.show_time()
                tree.wake(due)
            else:
                poller.poll(_STEP_MS)
        return ""

    def _compare(self, said: str) -> str:
        if self._status != 0:
            shown = said.strip().rpartition("\n")[2]
            return f"a traced program ended with the wait status {self._status}" + (f": {shown}" if shown else "")
        try:
            before, after, lasted = map(int, said.split())
        except ValueError:
            return f"a traced program wrote {said.strip()[:200]!r} where it had to write what its clocks show"
        if before != _SET_NS:
            return f"a traced program read {before / NS:.3f} on a clock that stood at {_SET_NS / NS:.3f}"
        for name, ns in (("clock", after - before), ("monotonic clock", lasted)):
            if not 0 <= ns - _SLEEP * NS <= _ROUGHLY_NS:
                return f"in a sleep of {_SLEEP} s the {name} of a traced program advanced by {ns / NS:.9f} s"
        return ""


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while os.WIFSTOPPED(os.waitpid(pid, tracee.WALL)[1]):
        continue


def _become_program(output: int, report: int) -> NoReturn:
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number in (signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        try:
            seccomp.install(seccomp.STANDARD)
        except OSError as error:
            os.write(report, f"no filter of system calls can be installed ({error.strerror})".encode())
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(sys.executable, [sys.executable, "-S", "-s", "-c", _PROGRAM], dict(os.environ))
    except BaseException as error:  # noqa: BLE001  (the forked child must not return)
        os.write(report, f"{sys.executable} could not be started under the tracer ({error})".encode())
    os._exit(1)


def _reach(pid: int, place: int) -> None:
    """See that the memory of a tracee and its descriptors can be reached; it has *place*, as this process has."""
    trials = (
        ("process_vm_readv", lambda: tracee.read_memory(pid, place, 4)),
        ("process_vm_writev", lambda: tracee.write_memory(pid, place, b"here")),
        ("pidfd_getfd", lambda: os.close(linux.copy_of_descriptor(pid, 1))),
    )
    for name, trial in trials:
        try:
            trial()
        except ProcessLookupError:
            raise  # it was killed
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise _RefusedError(f"{name}: {why}{_BY_A_FILTER if error.errno in _OF_FILTERS else ''}") from None


def _why_no_ptrace(error: OSError) -> str:
    try:
        with open(_YAMA, encoding="ascii") as file:
            scope = file.read().strip()
    except OSError:
        scope = ""
    if error.errno == errno.EPERM and scope in _SCOPES:
        return _SCOPES[scope]
    if error.errno in (errno.EINVAL, errno.EIO):
        return f"ptrace: {error.strerror}; the kernel has no PTRACE_SEIZE with the options that are needed"
    return f"ptrace: {error.strerror}{_BY_A_FILTER if error.errno in _OF_FILTERS else ''}"
