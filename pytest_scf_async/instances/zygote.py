"""The harness's side of the zygote: start it once a session, ask it for instances, hear of their ends.

What is started here is the zygote's keeper, which forks it.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import HarnessError, ScfUsageError, UnsupportedPlatformError
from ..protocol import messages
from ..protocol.real_time import REAL

_START = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
try:
    import pytest_scf_async
except ImportError:
    sys.path.append(sys.argv[1])
connection, owner, scratch, place, nonce, *preload = sys.argv[2:]
from pytest_scf_async.bootstrap.reaper import stand_above
stand_above(int(connection), scratch)
from pytest_scf_async.bootstrap.zygote import main
main(int(connection), int(owner), nonce, preload, place)
"""

_KEPT = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PYTHONNOUSERSITE",
    "PYTHONPLATLIBDIR",
    "LD_LIBRARY_PATH",
    "HOME",
)
"""What the interpreter needs to find the same packages as the test's own; instances do not see it."""

START_LIMIT = 60.0
"""Real seconds within which a zygote has to be ready."""
HEARD_BY_ANOTHER = 0.01
"""Real seconds after which to look again whether another thread has heard what we wait for."""
END_LIMIT = 5.0
"""Real seconds within which a session's processes have to end."""
LOOK_AGAIN = 0.01
"""Real seconds after which to look again: another runtime, in another thread, may have heard what was waited for."""

ANCILLARY = socket.CMSG_SPACE(2 * 4) if hasattr(socket, "CMSG_SPACE") else 0
"""Bytes of the descriptors that come with a message at most."""


class Listener(Protocol):
    """Who hears of one process: of its start, with a pidfd and, in a mount namespace, a descriptor of its ``/tmp``."""

    def spawned(self, pid: int, fds: list[int]) -> None: ...
    def refused_by_zygote(self, why: str) -> None: ...
    def ended(self, status: int) -> None: ...


def require_linux() -> None:
    """Raise ``UnsupportedPlatformError`` where instances cannot run."""
    missing = [name for name in ("pidfd_open", "eventfd", "memfd_create", "fork") if not hasattr(os, name)]
    if missing or not sys.platform.startswith("linux"):
        raise UnsupportedPlatformError(
            f"instances run on Linux (5.4 or newer) only, and this is {sys.platform}"
            + (f" without os.{', os.'.join(missing)}" if missing else "")
            + "; the clock and the model work everywhere"
        )


class Zygote:
    """One zygote process, shared by all runtimes of this process; made at the first cold start."""

    def __init__(self, preload: tuple[str, ...] = (), *, namespaces: bool = False) -> None:
        require_linux()
        self.namespaces = namespaces
        """Whether its instances have mount namespaces. Where the kernel refuses them, it says so and ends."""
        self.refusal: str | None = None
        self.not_preloaded: str | None = None
        """Which module cannot be imported for all instances, and why; it ends then, too."""
        self.nonce = secrets.token_hex(8)
        self.mark = f"{os.getpid()}-{self.nonce}"
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection.setblocking(False)
        self.alive = True
        self.pid = 0
        """Its process id, once it has said that it is ready; ``process`` is its keeper."""
        self._last_number = 0
        self._numbering = threading.Lock()
        self._asking = threading.RLock()
        self._hearing = threading.RLock()
        self.listeners: dict[int, Listener] = {}
        self._expected: messages.JsonObject | None = None
        self.at_end: list[Callable[[], None]] = []
        """Called once when this object is done with."""
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        if "PYTHONPATH" in environment:  # the zygote starts in another directory
            entries = environment["PYTHONPATH"].split(os.pathsep)
            environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, entries))
        environment |= {"PYTHONHASHSEED": "0", messages.OWNER_MARK: self.mark}
        package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        owner: int | None = None
        self.scratch = ""
        try:
            owner = os.pidfd_open(os.getpid())
            self.scratch = tempfile.mkdtemp(prefix="pytest-scf-async-")
            self.log_path = os.path.join(self.scratch, "zygote.log")
            with open(self.log_path, "wb") as log:
                self.process = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        _START,
                        package_parent,
                        str(theirs.fileno()),
                        str(owner),
                        self.scratch,
                        self.scratch if namespaces else "",
                        self.nonce,
                        *preload,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    cwd="/",
                    pass_fds=(theirs.fileno(), owner),
                    start_new_session=True,
                )
        except BaseException:
            self.connection.close()  # ends one that has started all the same
            if self.scratch:
                shutil.rmtree(self.scratch, ignore_errors=True)
            raise
        finally:
            theirs.close()
            if owner is not None:
                os.close(owner)

    def take_number(self) -> int:
        """A number for an instance, which no other of this zygote has."""
        with self._numbering:
            self._last_number += 1
            return self._last_number

    def spawn(self, number: int, hint: messages.JsonObject, fds: list[int], listener: Listener) -> None:
        """Ask for process *number*, with the descriptors *fds*; *listener* hears of its start and of its end.

        The *hint* says what it will probably be like: the code that it runs, its environment, what its disk has.
        """
        self.listeners[number] = listener
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        try:
            with self._asking:
                if hint != self._expected:
                    self._send(messages.TO_ZYGOTE.pack(messages.EXPECT, 0) + json.dumps(hint).encode(), [])
                    self._expected = hint
                self._send(messages.TO_ZYGOTE.pack(messages.SPAWN, number), ancillary)
        except BaseException:
            del self.listeners[number]
            raise

    def reclaim(self, number: int) -> None:
        """Have an instance killed by the zygote itself: one of which no pidfd has come."""
        try:
            self._send(messages.TO_ZYGOTE.pack(messages.RECLAIM, number), [])
        except HarnessError:
            return  # it dies with the zygote

    def _send(self, data: bytes, ancillary: list[Any]) -> None:
        if not self.alive:
            raise self._gone()
        while True:
            try:
                self.connection.sendmsg([data], ancillary)
                return
            except BlockingIOError:
                self.pump()
            except (BrokenPipeError, ConnectionResetError):
                self.alive = False
                raise self._gone() from None

    def pump(self) -> None:
        """Hear what has come, without waiting."""
        while self.alive:
            with self._hearing:
                if not self._hear():
                    return

    def _hear(self) -> bool:
        """Hear one message; whether there was one. Runtimes in several threads hear for each other, one at a time."""
        try:
            data, ancillary, _, _ = self.connection.recvmsg(1 << 16, ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data, ancillary = b"", []
        fds = array.array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        if not data:
            self.alive = False
            return False
        kind, number, first, _ = messages.FROM_ZYGOTE.unpack_from(data)
        text = data[messages.FROM_ZYGOTE.size :].decode("utf-8", "replace")
        listener = self.listeners.get(number)
        if kind == messages.READY:
            self.pid = first
        elif kind == messages.NO_NAMESPACES:
            self.refusal = text
        elif kind == messages.NOT_PRELOADED:
            self.not_preloaded = text
        elif listener is None:
            for fd in fds:
                os.close(fd)
        elif kind == messages.SPAWNED:
            listener.spawned(first, list(fds))
        elif kind == messages.REFUSED:
            listener.refused_by_zygote(text)
        elif kind == messages.GONE:
            listener.ended(first)
        return True

    def hear_until(self, fact: Callable[[], bool], seconds: float) -> bool:
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
            poller.poll(min(remaining, LOOK_AGAIN) * 1000)

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
                raise HarnessError(f"the zygote was not ready after {START_LIMIT:g} s; {self.last_words()}")
            if not self.pid:
                poller.poll(HEARD_BY_ANOTHER * 1000)
        return self.refusal is None

    def is_gone(self) -> bool:
        """Whether it has ended, or its keeper has."""
        self.pump()
        return not self.alive or self.process.poll() is not None

    def _gone(self) -> HarnessError:
        return HarnessError(f"the zygote, the process that instances are forked from, is gone; {self.last_words()}")

    def last_words(self) -> str:
        """What the zygote wrote, for an error's text."""
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                text = log.read().strip()
        except OSError:
            text = ""
        return f"it wrote:\n{text}" if text else "it wrote nothing"

    def close(self) -> None:
        """End the zygote and everything below it."""
        self._end()
        self.alive = False
        self.connection.close()
        if not _ends_within(self.process, END_LIMIT):
            self.process.kill()
        if self.process.wait() != 0:  # the keeper had no chance to clean up
            _kill_marked(self.mark)
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _end(self) -> None:
        while self.at_end:
            self.at_end.pop()()

    def forget(self) -> None:
        """In a fork of the test process: the zygote belongs to the parent."""
        self._end()
        self.alive = False
        self.connection.close()
        self.process.returncode = 0


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether *process* ends within real *seconds*; the clock of ``subprocess`` may be one that a test froze."""
    if process.poll() is not None:
        return True
    pidfd = os.pidfd_open(process.pid)
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(seconds * 1000))
    finally:
        os.close(pidfd)


def _kill_marked(mark: str) -> None:
    """Kill the processes that carry our mark in their environment, orphans of a keeper that was killed; see them gone.

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
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            pidfd = os.pidfd_open(int(entry))
        except OSError:
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                marked = wanted in file.read().split(b"\0")
        except OSError:
            marked = False
        if marked:
            found.append(pidfd)
        else:
            os.close(pidfd)
    return found


_Form = tuple[bool, tuple[str, ...]]
_shared: dict[_Form, Zygote] = {}
"""By whether instances have mount namespaces, and what is preloaded."""
_refused: str | None = None
"""Why they cannot have any, once the kernel has been asked."""
_shared_lock = threading.RLock()
"""Re-entrant: the garbage collector may close a forgotten runtime under it."""


def shared_zygote(namespaces: bool = True, preload: tuple[str, ...] = ()) -> Zygote:
    """The zygote of this process; a new one where the last one is gone.

    Its instances have mount namespaces if that is wanted and the kernel gives them, and the modules of *preload*.
    Raises ``ScfUsageError`` for a module that cannot be preloaded.
    """
    global _refused
    with _shared_lock:
        if namespaces and _refused is None:
            zygote = _shared_one((True, preload))
            if _is_ready(zygote):
                return zygote
            _refused = zygote.refusal
        zygote = _shared_one((False, preload))
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


def _shared_one(form: _Form) -> Zygote:
    """The zygote of that form, which may not be ready yet."""
    zygote = _shared.get(form)
    if zygote is None or zygote.is_gone():
        if zygote is not None:
            zygote.close()
        namespaces, preload = form
        zygote = _shared[form] = Zygote(preload, namespaces=namespaces)
    return zygote


def has_shared_zygote() -> bool:
    """Whether this process has one."""
    return bool(_shared)


def bury_shared_zygote() -> None:
    """Clean up after the zygote of this process where it was killed from outside; leave one that lives alone."""
    with _shared_lock:
        for zygote in _shared.values():
            if zygote.is_gone():
                zygote.close()


def close_shared_zygote() -> None:
    """End the zygote of this process, if there is one."""
    with _shared_lock:
        while _shared:
            _shared.popitem()[1].close()


def _after_fork() -> None:
    for zygote in _shared.values():
        zygote.forget()
    _shared.clear()


atexit.register(close_shared_zygote)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
