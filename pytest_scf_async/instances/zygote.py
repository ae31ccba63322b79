"""The harness's side of the zygote: start it once a session, ask it for instances, receive the reports of their ends.

What is started here is the zygote's reaper, which forks it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Literal, Protocol

from ..errors import HarnessError, ScfUsageError, UnsupportedPlatformError
from ..linux import procfs
from ..linux.linux import receive_descriptors, remove_tree, send_descriptors
from ..protocol import messages
from ..protocol.real_time import REAL
from .environment import interpreter_environment
from .interrupts import exposed, shielded
from .process_ends import ends_within, pidfd_of

_START = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
try:
    import pytest_scf_async
except ImportError:
    sys.path.append(sys.argv[1])
connection, owner, scratch, in_memory, place, nonce, clock, *preload = sys.argv[2:]
import socket
from pytest_scf_async.zygote.reaper import supervise
from pytest_scf_async.wings.in_zygote import PARTS
binds = next(((part.bind_filter, *socket.socketpair()) for part in PARTS), None)
supervise(int(owner), scratch, in_memory, connection=int(connection), binds=binds)
from pytest_scf_async.python import clock as clocks
clocks.wants_page = clock == "page"
from pytest_scf_async.zygote.zygote import main
main(int(connection), nonce, preload, place, binds)
"""

ClockSource = Literal["page", "freezegun"]
"""What the wall clock of instances is, where there is a choice."""

START_LIMIT = 60.0
"""Real seconds within which a zygote has to be ready."""
HEARD_BY_ANOTHER = 0.01
"""Real seconds after which to look again whether another thread has received what we wait for."""
TRIAL_LIMIT = 60.0
"""Real seconds within which a trial has to show whether programs can be traced."""
TRIALS = 3
"""So many trials without an answer are one."""
END_LIMIT = 5.0
"""Real seconds within which a session's processes have to end."""
LOOK_AGAIN = 0.01
"""Real seconds after which to look again: another runtime, in another thread, may have received what was waited for."""


class Listener(Protocol):
    """Receives the start of a process, with a pidfd and a descriptor of its own ``/tmp`` if it has one, and its end."""

    def spawned(self, pid: int, fds: list[int]) -> None: ...
    def refused_by_zygote(self, why: str) -> None: ...
    def ended(self, how: messages.Gone) -> None: ...


_OWN_PROC = "/proc/self"
SHARED_MEMORY = "/dev/shm"
LEAST_IN_MEMORY = 1 << 30
"""Bytes that have to be free on a tmpfs for files to go there: a container may have 64 MB, say."""


def require_linux() -> None:
    """Raise ``UnsupportedPlatformError`` where instances cannot run."""
    missing = [name for name in ("pidfd_open", "eventfd", "memfd_create", "fork") if not hasattr(os, name)]
    if missing or not sys.platform.startswith("linux"):
        raise UnsupportedPlatformError(
            f"instances run on Linux (5.4 or newer) only, and this is {sys.platform}"
            + (f" without os.{', os.'.join(missing)}" if missing else "")
            + "; the clock and the model work everywhere"
        )
    if not os.path.isdir(_OWN_PROC):
        raise UnsupportedPlatformError(
            f"instances need the proc file system, and there is no {_OWN_PROC}: mount it (mount -t proc proc /proc); "
            "the clock and the model work without it"
        )


class Zygote:
    """One zygote process, shared by all runtimes of this process; made at the first cold start."""

    def __init__(self, preload: tuple[str, ...] = (), *, namespaces: bool = False, clock: ClockSource = "page") -> None:
        require_linux()
        self.namespaces = namespaces
        """Whether its instances have mount namespaces. Where the kernel refuses them, it says so and ends."""
        self.no_clock_page = ""
        """Why its instances have freezegun's classes, once it has said that it is ready; empty: they have not."""
        self.not_filtered = ""
        """Why programs that share the machine's network may listen on all of its addresses; empty: they do not."""
        self.untraced: str | None = None
        """Why its instances cannot trace programs; empty: they can; None: nobody has asked yet."""
        self.was_stopped = False
        """A signal had stopped it, or its reaper, and nobody has been told."""
        self.refusal: str | None = None
        self.not_preloaded: str | None = None
        """Which module cannot be imported for all instances, and why; it ends then, too."""
        self.nonce = secrets.token_hex(8)
        self.mark = f"{os.getpid()}-{self.nonce}"
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection.setblocking(False)
        self.alive = True
        self.pid = 0
        """Its process id, once it has said that it is ready; ``process`` is its reaper."""
        self._last_number = 0
        self._numbering = threading.Lock()
        self._asking = threading.RLock()
        self._receiving = threading.RLock()
        self.listeners: dict[int, Listener] = {}
        self._expected: messages.Expect | None = None
        self.at_end: set[Callable[[Zygote], None]] = set()
        """Called once when this object is done with."""
        environment = {**interpreter_environment(), messages.OWNER_MARK: self.mark}
        package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        owner: int | None = None
        self._log = os.memfd_create("zygote log", os.MFD_CLOEXEC)
        self._written = b""
        """What the zygote wrote, once the log is closed."""
        try:
            owner = os.pidfd_open(os.getpid())
            self._scratch = os.path.join(tempfile.gettempdir(), f"pytest-scf-async-{self.nonce}")
            self._in_memory = os.path.join(SHARED_MEMORY, os.path.basename(self._scratch))
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _START,
                    package_parent,
                    str(theirs.fileno()),
                    str(owner),
                    self._scratch,
                    self._in_memory,
                    self._scratch if namespaces else "",
                    self.nonce,
                    clock,
                    *preload,
                ],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=environment,
                cwd="/",
                pass_fds=(theirs.fileno(), owner),
                start_new_session=True,
            )
        except BaseException:
            self.connection.close()  # ends one that has started all the same
            os.close(self._log)
            raise
        finally:
            theirs.close()
            if owner is not None:
                os.close(owner)

    def scratch(self) -> str:
        """The session's temporary directory, which the reaper makes and removes: a zygote that is ready has it."""
        self.is_ready()
        return self._scratch

    def scratch_in_memory(self) -> str | None:
        """A directory of the session on a tmpfs; None where there is no such one with room. The reaper removes it.

        On a disk the kernel may look at each file that was removed lately before it makes the next one (ext4 does).
        """
        self.is_ready()
        try:
            there = os.statvfs(SHARED_MEMORY)
            if there.f_bavail * there.f_frsize < LEAST_IN_MEMORY:
                return None
            os.makedirs(self._in_memory, 0o700, exist_ok=True)
        except OSError:
            return None
        return self._in_memory

    def take_number(self) -> int:
        """A number for an instance, which no other of this zygote has."""
        with self._numbering:
            self._last_number += 1
            return self._last_number

    def spawn(self, number: int, hint: messages.Expect, fds: list[int], listener: Listener) -> None:
        """Ask for process *number*, with the descriptors *fds*; *listener* gets its start and its end.

        The *hint* says what it will probably be like: the code that it runs, its environment, what its disk has.
        """
        self.listeners[number] = listener
        try:
            with self._asking:
                if hint != self._expected:
                    self._send(messages.pack(hint))
                    self._expected = hint
                self._send(messages.pack(messages.Spawn(number)), fds)
        except BaseException:
            del self.listeners[number]
            raise

    def record(self, number: int, orders: int, listener: Listener) -> None:
        """Ask for recorder *number*, which takes its order from the descriptor *orders*; *listener* gets its end."""
        self.listeners[number] = listener
        try:
            self._send(messages.pack(messages.Record(number)), [orders])
        except BaseException:
            del self.listeners[number]
            raise

    def reclaim(self, number: int) -> None:
        """Have an instance killed by the zygote itself: one of which no pidfd has come."""
        try:
            self._send(messages.pack(messages.Reclaim(number)))
        except HarnessError:
            return  # it dies with the zygote

    def why_untraced(self) -> str:
        """Why its instances cannot trace programs, which is tried when this is asked first; empty: they can."""
        if self.untraced is None and self.is_ready():
            for _ in range(TRIALS):
                trial = _Trial(self, self.take_number())
                if trial.run():
                    break
            else:
                self.untraced = f"{trial.failure}, in each of {TRIALS} trials"
        return self.untraced or ""

    def _send(self, data: bytes, fds: list[int] | None = None) -> None:
        deadline = REAL.monotonic() + START_LIMIT
        while True:
            if not self.alive:
                raise self._gone()
            try:
                if fds:
                    send_descriptors(self.connection, data, fds)
                else:
                    self.connection.send(data)
                return
            except BlockingIOError:  # it still imports, or stands still
                if not self.receive_until(self._has_room, deadline - REAL.monotonic()) and self.alive:
                    why = f"has read no message for {START_LIMIT:g} real seconds; {self.log_tail()}"
                    raise HarnessError(f"the zygote (pid {self.pid}), which instances are forked from, {why}") from None
            except (BrokenPipeError, ConnectionResetError):
                self.alive = False
                raise self._gone() from None

    def _has_room(self) -> bool:
        poller = select.poll()
        poller.register(self.connection.fileno(), select.POLLOUT)
        return bool(poller.poll(0))

    def pump(self) -> None:
        """Receive what has come, without waiting."""
        while self.alive:
            with self._receiving:
                if not self._receive_message():
                    return

    def _receive_message(self) -> bool:
        """Receive one message; whether there was one. Runtimes in several threads take turns at it."""
        try:
            data, fds = receive_descriptors(self.connection, 1 << 16, 2)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data, fds = b"", []
        if not data:
            self.alive = False
            return False
        self._take(messages.unpack_from_zygote(data), fds)
        return True

    def _take(self, message: messages.ZygoteAnswer, fds: list[int]) -> None:
        if isinstance(message, messages.Ready):
            self.pid, self.no_clock_page = message.pid, message.no_clock_page
        elif isinstance(message, messages.NotFiltered):
            self.not_filtered = message.why
        elif isinstance(message, messages.Probed):
            self.untraced = message.why
        elif isinstance(message, messages.NoNamespaces):
            self.refusal = message.why
        elif isinstance(message, messages.NotPreloaded):
            self.not_preloaded = message.why
        else:
            self._take_of_process(message, fds)

    def _take_of_process(self, message: messages.Spawned | messages.Refused | messages.Gone, fds: list[int]) -> None:
        listener = self.listeners.get(message.number)
        if listener is None:
            for fd in fds:
                os.close(fd)
        elif isinstance(message, messages.Spawned):
            listener.spawned(message.pid, fds)
        elif isinstance(message, messages.Refused):
            listener.refused_by_zygote(message.why)
        else:
            listener.ended(message)

    def receive_until(self, fact: Callable[[], bool], seconds: float) -> bool:
        """Wait, for real *seconds* at most, until *fact* is true; whether it is. It ends early when the zygote dies."""
        deadline = REAL.monotonic() + seconds
        poller = select.poll()
        if self.alive:
            poller.register(self.connection.fileno(), select.POLLIN)
        while True:
            self.pump()
            remaining = deadline - REAL.monotonic()
            if fact() or not self.alive or remaining <= 0:
                return fact()
            if not poller.poll(min(remaining, LOOK_AGAIN) * 1000):
                self.go_on()

    def go_on(self) -> None:
        """Have it and its reaper go on where a signal (SIGSTOP) has stopped one of them: neither runs user code."""
        for pid, parent in (self.pid, self.process.pid), (self.process.pid, os.getpid()):
            if self.alive and pid and procfs.state_of(pid) == b"T":
                with contextlib.suppress(ProcessLookupError), pidfd_of(pid) as pidfd:
                    if procfs.parent_of(pid) == parent:  # else it has ended, and the number is another's
                        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
                        self.was_stopped = True

    def take_stop(self) -> bool:
        """Whether it had to be had go on, which was not so when this was asked before."""
        found, self.was_stopped = self.was_stopped, False
        return found

    def is_ready(self) -> bool:
        """Wait until it has said that it is ready, or that it has no namespaces; whether it is.

        Raises ``ScfUsageError`` for a module that it cannot preload.
        """
        deadline = REAL.monotonic() + START_LIMIT
        poller = select.poll()
        poller.register(self.connection.fileno(), select.POLLIN)
        while not self.pid and self.refusal is None:
            self.pump()
            if self.not_preloaded is not None:
                raise ScfUsageError(self.not_preloaded)
            if not self.alive and self.refusal is None:
                raise self._gone()
            if REAL.monotonic() > deadline:
                raise HarnessError(f"the zygote was not ready after {START_LIMIT:g} s; {self.log_tail()}")
            if not self.pid:
                exposed(poller.poll, HEARD_BY_ANOTHER * 1000)
        return self.refusal is None

    def is_gone(self) -> bool:
        """Whether it has ended, or its reaper has."""
        self.pump()
        return not self.alive or self.process.poll() is not None

    def _gone(self) -> HarnessError:
        return HarnessError(f"the zygote, which instances are forked from, is gone; {self.log_tail()}")

    def log_tail(self) -> str:
        """What the zygote wrote, for an error's text."""
        if self._log >= 0:
            self._written = os.pread(self._log, os.fstat(self._log).st_size, 0)
        text = self._written.decode("utf-8", "replace").strip()
        return f"it wrote:\n{text}" if text else "it wrote nothing"

    def close(self) -> None:
        """End the zygote and everything below it."""
        self.go_on()
        self._end()
        self.alive = False
        self.connection.close()
        self.process.terminate()  # a zygote that still imports a module does not see the end of its connection
        if not ends_within(self.process, END_LIMIT):
            self.process.kill()
            ends_within(self.process, END_LIMIT)
        code = self.process.poll()
        if code is None or code < 0:  # the reaper had no chance to clean up
            _kill_marked(self.mark)
            remove_tree(self._scratch)
            remove_tree(self._in_memory)
        self._close_log()

    def _close_log(self) -> None:
        self.log_tail()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _end(self) -> None:
        while self.at_end:
            self.at_end.pop()(self)

    def forget(self) -> None:
        """In a fork of the test process: the zygote belongs to the parent."""
        self._end()
        self.alive = False
        self.connection.close()
        self._close_log()
        self.process.returncode = 0


class _Trial:
    """Receives from the process that finds out whether programs can be traced."""

    def __init__(self, zygote: Zygote, number: int) -> None:
        self._zygote, self._number = zygote, number
        self.failure = ""
        """Why it has no answer."""

    def run(self) -> bool:
        """Whether it has an answer: anybody may have killed that process."""
        zygote, number = self._zygote, self._number
        zygote.listeners[number] = self
        zygote._send(messages.pack(messages.Probe(number)))
        if not zygote.receive_until(lambda: number not in zygote.listeners, TRIAL_LIMIT):
            if not zygote.alive:
                raise zygote._gone()
            zygote.reclaim(number)
            self._fail(f"the trial was not over after {TRIAL_LIMIT:g} s")
        return zygote.untraced is not None

    def spawned(self, pid: int, fds: list[int]) -> None:
        """Nobody speaks to it."""

    def refused_by_zygote(self, why: str) -> None:
        self._fail(f"no process could be forked that tries it ({why})")

    def ended(self, how: messages.Gone) -> None:
        self._fail(f"the process that tried it ended with the wait status {how.status}; {self._zygote.log_tail()}")

    def _fail(self, why: str) -> None:
        self.failure = why
        self._zygote.listeners.pop(self._number, None)


def _kill_marked(mark: str) -> None:
    """Kill the processes that carry our mark in their environment, orphans of a reaper that was killed; see them gone.

    One that forks while it is looked for is found in the next round.
    """
    deadline = REAL.monotonic() + END_LIMIT
    while (found := _marked(mark)) and REAL.monotonic() < deadline:
        try:
            for pidfd in found:
                try:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            for pidfd in found:
                select.select([pidfd], [], [], max(deadline - REAL.monotonic(), 0))
        finally:
            for pidfd in found:
                os.close(pidfd)


def _marked(mark: str) -> list[int]:
    """A pidfd of each process that carries the mark and lives."""
    wanted = f"{messages.OWNER_MARK}={mark}".encode()
    found: list[int] = []
    for pid in procfs.processes():
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            continue
        if wanted in procfs.environment_of(pid):
            found.append(pidfd)
        else:
            os.close(pidfd)
    return found


_Form = tuple[bool, tuple[str, ...], ClockSource]
_shared: dict[_Form, Zygote] = {}
"""By whether instances have mount namespaces, what is preloaded, and what their wall clock is."""
_refused: str | None = None
"""Why they cannot have any, once the kernel has been asked."""
_shared_lock = threading.RLock()
"""Re-entrant: the garbage collector may close a forgotten runtime under it."""


def shared_zygote(namespaces: bool = True, preload: tuple[str, ...] = (), clock: ClockSource = "page") -> Zygote:
    """The zygote of this process; a new one where the last one is gone.

    Its instances have mount namespaces if that is wanted and the kernel gives them, and the modules of *preload*.
    Raises ``ScfUsageError`` for a module that cannot be preloaded.
    """
    global _refused
    with shielded(), _shared_lock:
        if namespaces and _refused is None:
            zygote = _shared_one((True, preload, clock))
            if _is_ready(zygote):
                return zygote
            _refused = zygote.refusal
        zygote = _shared_one((False, preload, clock))
        if preload:
            _is_ready(zygote)
        return zygote


def _is_ready(zygote: Zygote) -> bool:
    """Whether *zygote* is ready; one that cannot be goes at once."""
    ready = False
    try:
        ready = zygote.is_ready()
    finally:
        if not ready:
            for form in [form for form, known in _shared.items() if known is zygote]:
                del _shared[form]
            zygote.close()
    return ready


def namespaces_refused() -> str:
    """Why instances cannot have mount namespaces on this machine, in the kernel's words."""
    return _refused or "nobody has asked the kernel yet"


def programs_untraced() -> str | None:
    """Why programs cannot be traced on this machine; empty: they can; None: that has not been tried."""
    tried = [zygote.untraced for zygote in _shared.values() if zygote.untraced is not None]
    return max(tried, default=None)


def _shared_one(form: _Form) -> Zygote:
    """The zygote of that form, which may not be ready yet."""
    zygote = _shared.get(form)
    if zygote is None or zygote.is_gone():
        if zygote is not None:
            zygote.close()
        namespaces, preload, clock = form
        zygote = _shared[form] = Zygote(preload, namespaces=namespaces, clock=clock)
    return zygote


def has_shared_zygote() -> bool:
    """Whether this process has one."""
    return bool(_shared)


def reapers() -> list[int]:
    """The processes that clean up after the zygotes of this process, however that ends."""
    return [zygote.process.pid for zygote in _shared.values()]


def discard_dead_zygote() -> None:
    """Clean up after the zygote of this process where it was killed from outside; leave one that lives alone."""
    with _shared_lock:
        for zygote in _shared.values():
            if zygote.is_gone():
                zygote.close()


def close_shared_zygote() -> None:
    """End the zygote of this process, if there is one; the next one asks the kernel for namespaces anew."""
    global _refused
    with _shared_lock:
        _refused = None
        while _shared:
            _shared.popitem()[1].close()


def _after_fork() -> None:
    for zygote in _shared.values():
        zygote.forget()
    _shared.clear()


atexit.register(close_shared_zygote)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
