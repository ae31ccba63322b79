"""The zygote: a fresh interpreter with all that an instance needs, which forks instances from its main thread.

It ends, and with it every process below it, when the harness's socket is closed or the test process is gone; what it
cannot do then, its keeper does. Orphans of instances come to it (an instance adopts those of its own children while it
lives), and are killed at once: a child of the zygote that is no instance belonged to an instance that is gone.
"""

from __future__ import annotations

import array
import contextlib
import errno
import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from . import clock
from .patches import early_imports, real_waits
from .patches import time as sleeping

clock.install()
sleeping.install()

# They import threading and queue, which bind clocks.
from .patches import locks, signals, threads  # noqa: E402
from .patches import select as multiplexed  # noqa: E402

locks.install()
threads.install()
multiplexed.install()

from ..protocol import (  # noqa: E402
    freezegun_classes,
    linux,
    messages,
)
from . import (  # noqa: E402
    debugger,
    instance,
    loading,
    mounts,
    reaper,
)
from .gates import gates  # noqa: E402
from .patches import (  # noqa: E402
    children,
    output,
    signal_waits,
    sockets,
    unsimulated,
)
from .scheduler import alarm  # noqa: E402
from .scheduler.door import door  # noqa: E402

PACKET = 1 << 18
DESCRIPTORS = 4


class Zygote:
    def __init__(self, connection: socket.socket, owner: int, nonce: str) -> None:
        self.connection = connection
        self.nonce = nonce
        """Marks the frames of this session's instances."""
        self.trees: mounts.Trees | None = None
        """Where instances have mount namespaces."""
        self.common: messages.JsonObject | None = None
        """What the namespaces of the next instances have."""
        self.inodes: list[int] = []
        """The numbers of the directories that are bound there."""
        self.owner = owner
        self.instances: dict[int, int] = {}
        """By process id: the number that the harness gave."""
        self.pidfds: dict[int, int] = {}
        """By descriptor: the process ids of the instances. A pidfd tells of the end alone, not of stops."""
        self.poller = select.poll()

    def run(self) -> NoReturn:
        for fd in (self.connection.fileno(), self.owner):
            self.poller.register(fd, select.POLLIN)
        self._answer(messages.READY, 0, os.getpid())
        while True:
            ready = self.poller.poll(0)
            if not ready:
                self._make_ready()
                ready = self.poller.poll()
            for fd, _ in ready:
                if fd == self.owner:
                    self.end()
                elif fd in self.pidfds:
                    self._reap(fd)
                else:
                    self._serve()

    def refuse(self, kind: int, why: str) -> NoReturn:
        """End, because instances cannot have what they were to have."""
        self._answer(kind, 0, text=why)
        self.end()

    def _make_ready(self) -> None:
        """Use the time in which nobody asks for anything."""
        if self.trees is not None and self.common is not None:
            with contextlib.suppress(OSError):  # it comes again, and is told, when the namespace is needed
                self.trees.make_ready(self.common)

    def end(self) -> NoReturn:
        """Kill everything below."""
        reaper.kill_children()
        os._exit(0)

    def _serve(self) -> None:
        data, ancillary, _, _ = self.connection.recvmsg(
            PACKET, socket.CMSG_SPACE(DESCRIPTORS * 4), socket.MSG_CMSG_CLOEXEC
        )
        if not data:
            self.end()
        fds = array.array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        kind, number = messages.TO_ZYGOTE.unpack_from(data)
        if kind == messages.SPAWN:
            self._spawn(number, fds)
        elif kind == messages.EXPECT:
            self._expect(json.loads(data[messages.TO_ZYGOTE.size :]))
        else:
            for pid, known in self.instances.items():
                if known == number:
                    os.kill(pid, signal.SIGKILL)  # not reaped, so that the id is its own

    def _expect(self, hint: messages.JsonObject) -> None:
        """Do beforehand what the next instances would have to do each."""
        self.common, self.inodes = hint["common"], hint["inodes"]
        for path in hint["code"]:
            loading.compile_ahead(path)
        instance.prepare(hint["environment"])
        if "debugger" in hint:
            debugger.install()
        if "program" in hint:
            _import_what_programs_need()
        if "coverage" in hint:
            import coverage.sqldata  # noqa: F401, PLC0415  (instances of a session that is measured need it)

    def _spawn(self, number: int, fds: array.array[int]) -> None:
        pid = pidfd = -1
        try:
            if len(fds) != DESCRIPTORS:
                raise OSError(errno.EMFILE, f"descriptors for an instance: {os.strerror(errno.EMFILE)}")
            if self.trees is not None and self.common is not None:
                self.trees.make_ready(self.common, self.inodes)
            pid = os.fork()
            if pid > 0:
                pidfd = os.pidfd_open(pid)
        except OSError as error:
            if pid > 0:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            self._answer(messages.REFUSED, number, text=_words_of(error))
            pid = -1
        if pid == 0:
            zygote = os.getppid()
            for fd in (self.connection.detach(), self.owner, *self.pidfds, *self._mounting()):
                os.close(fd)
            instance.main(self.nonce, fds, zygote)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            self.instances[pid] = number
            self.pidfds[pidfd] = pid
            self.poller.register(pidfd, select.POLLIN)
            if self.trees is not None and self.common is not None:
                tmp = self.trees.hand_over()
                self._answer(messages.SPAWNED, number, pid, fds=(pidfd, tmp))
                os.close(tmp)
            else:
                self._answer(messages.SPAWNED, number, pid, fds=(pidfd,))

    def _mounting(self) -> list[int]:
        return [] if self.trees is None else self.trees.descriptors()

    def _reap(self, pidfd: int) -> None:
        """An instance has ended: what it left behind has come to us, and ends now too."""
        pid = self.pidfds.pop(pidfd)
        self.poller.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(pid, 0)
        number = self.instances.pop(pid)
        reaper.kill_children(spared=self.instances.keys())
        self._answer(messages.GONE, number, status, usage.ru_maxrss * 1024)

    def _answer(
        self, kind: int, number: int, first: int = 0, second: int = 0, *, text: str = "", fds: Sequence[int] = ()
    ) -> None:
        ancillary: list[Any] = []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        packet = messages.FROM_ZYGOTE.pack(kind, number, first, second)
        try:
            self.connection.sendmsg([packet, text.encode()] if text else [packet], ancillary)
        except (BrokenPipeError, ConnectionResetError):
            self.end()


def _import_what_programs_need() -> None:
    """Once for all instances; no handler finds what came along of the standard library imported before it asks.

    A module of its own may have the name of one of these: ``email.py``, say.
    """
    before = set(sys.modules)
    from . import agent, event_invoke, image  # noqa: F401, PLC0415

    package = __name__.partition(".")[0]
    for name in set(sys.modules) - before:
        if name.partition(".")[0] != package:
            del sys.modules[name]


def _import_all(modules: list[str]) -> str:
    """Import *modules*, for all instances; what is wrong with one of them, or nothing."""
    for name in modules:
        try:
            __import__(name)
        except Exception as error:
            return f"{name!r} cannot be imported: {type(error).__name__}: {error}"
        if len(os.listdir("/proc/self/task")) > 1:
            return f"{name!r} starts a thread when it is imported, and instances are forks, which have no threads"
    return ""


def _words_of(error: OSError) -> str:
    return f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")


def main(connection: int, owner: int, nonce: str, preload: list[str], place: str = "") -> NoReturn:
    """Serve the harness at the other end of the socket *connection*; *owner* is a pidfd of the test process.

    Instances have mount namespaces if a directory is given on which their tree can be built, *place*.
    """
    signals.reset()
    signals.install()
    alarm.install()
    signal_waits.install()
    freezegun_classes.install()
    early_imports.install()
    clock.spare_logging()
    real_waits.install()
    multiplexed.install_in_subprocess()
    children.install()
    sockets.install()
    unsimulated.install()
    for name in ("dateutil", "six"):
        for module in [module for module in sys.modules if module == name or module.startswith(name + ".")]:
            del sys.modules[module]  # a handler's own copy must win
    refusal = _import_all(preload)
    os.register_at_fork(after_in_child=signals.leave_watch)
    os.register_at_fork(after_in_child=door.detach)
    sys.dont_write_bytecode = True
    sys.argv = ["bootstrap.py"]
    output.install()
    gates.install()
    sys.breakpointhook = debugger.refuse
    mark = os.environ.pop(messages.OWNER_MARK)
    os.putenv(messages.OWNER_MARK, mark)  # what an instance starts inherits it; user code does not see it
    linux.adopt_orphans()
    gc.disable()
    gc.collect()
    gc.freeze()
    zygote = Zygote(socket.socket(fileno=connection), owner, nonce)
    if refusal:
        zygote.refuse(messages.NOT_PRELOADED, refusal)
    if place:
        try:
            zygote.trees = mounts.Trees(place)
        except OSError as error:
            zygote.refuse(messages.NO_NAMESPACES, _words_of(error))
    zygote.run()
