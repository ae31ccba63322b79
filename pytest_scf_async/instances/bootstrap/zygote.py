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
from typing import Any, NoReturn

from . import clocks, real_waits, sleeping

clocks.install()
sleeping.install()

from . import locks, signals, threads  # noqa: E402  (they import threading and queue, which bind clocks at import)

locks.install()
threads.install()

from .. import wire  # noqa: E402
from . import children, freezing, gates, instance, keeper, linux, loading, mounts, network, output  # noqa: E402
from .door import door  # noqa: E402

PACKET = 1 << 18
DESCRIPTORS = 5


class Zygote:
    def __init__(self, connection: socket.socket, owner: int, trees: mounts.Trees | None) -> None:
        self.connection = connection
        self.trees = trees
        """Where instances have mount namespaces."""
        self.common: wire.JsonObject | None = None
        """What the next instance's namespace will probably have."""
        self.owner = owner
        self.instances: dict[int, int] = {}
        """By process id: the number that the harness gave."""
        self.pidfds: dict[int, int] = {}
        """By descriptor: the process ids of the instances. A pidfd tells of the end alone, not of stops."""
        self.poller = select.poll()

    def run(self) -> NoReturn:
        for fd in (self.connection.fileno(), self.owner):
            self.poller.register(fd, select.POLLIN)
        self._answer({"op": "ready", "pid": os.getpid()})
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

    def refuse(self, why: str) -> NoReturn:
        """End, because the kernel does not give what instances were to have."""
        self._answer({"op": "no namespaces", "why": why})
        self.end()

    def _make_ready(self) -> None:
        """Use the time in which nobody asks for anything."""
        if self.trees is not None and self.common is not None:
            with contextlib.suppress(OSError):  # it comes again, and is told, when the namespace is needed
                self.trees.make_ready(self.common)

    def end(self) -> NoReturn:
        """Kill everything below."""
        keeper.kill_children()
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
        request = json.loads(data)
        if request["op"] == "spawn":
            self._spawn(request, list(fds))
        elif request["op"] == "reclaim":
            wanted = set(request["ids"])
            for pid, number in self.instances.items():
                if number in wanted:
                    os.kill(pid, signal.SIGKILL)  # not reaped, so that the id is its own

    def _spawn(self, request: wire.JsonObject, fds: list[int]) -> None:
        sent = []
        pid = -1
        try:
            if len(fds) != DESCRIPTORS:
                raise OSError(errno.EMFILE, f"descriptors for an instance: {os.strerror(errno.EMFILE)}")
            self._furnish(request.get("sandbox"))
            loading.compile_ahead(request["entry"])
            if request["before_init"] is not None:
                loading.compile_ahead(request["before_init"]["entry"])
            instance.prepare(request["environment"])
            pid = os.fork()
            if pid > 0:
                sent.append(os.pidfd_open(pid))
        except OSError as error:
            if pid > 0:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            self._answer({"op": "refused", "id": request["id"], "error": _words_of(error)})
            pid = -1
        if pid == 0:
            zygote = os.getppid()
            for fd in (self.connection.detach(), self.owner, *self.pidfds, *self._mounting()):
                os.close(fd)
            instance.main(request, fds, zygote)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            pidfd = sent[0]
            self.instances[pid] = request["id"]
            self.pidfds[pidfd] = pid
            self.poller.register(pidfd, select.POLLIN)
            if self.trees is not None and request.get("sandbox") is not None:
                sent.append(self.trees.hand_over())
            self._answer({"op": "spawned", "id": request["id"], "pid": pid}, sent)
            for fd in sent[1:]:
                os.close(fd)

    def _furnish(self, sandbox: wire.JsonObject | None) -> None:
        """Be in the mount namespace that the next instance gets."""
        if self.trees is not None and sandbox is not None:
            self.common = sandbox["common"]
            self.trees.make_ready(self.common, sandbox["inodes"])
            self.trees.complete(sandbox["own"])

    def _mounting(self) -> list[int]:
        return [] if self.trees is None else self.trees.descriptors()

    def _reap(self, pidfd: int) -> None:
        """An instance has ended: what it left behind has come to us, and ends now too."""
        pid = self.pidfds.pop(pidfd)
        self.poller.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(pid, 0)
        number = self.instances.pop(pid)
        keeper.kill_children(spared=self.instances.keys())
        self._answer({"op": "gone", "id": number, "status": status, "rss": usage.ru_maxrss * 1024})

    def _answer(self, answer: wire.JsonObject, fds: list[int] | None = None) -> None:
        ancillary: list[Any] = []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        try:
            self.connection.sendmsg([json.dumps(answer).encode()], ancillary)
        except (BrokenPipeError, ConnectionResetError):
            self.end()


def _words_of(error: OSError) -> str:
    return f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")


def main(connection: int, owner: int, preload: list[str], place: str = "") -> NoReturn:
    """Serve the harness at the other end of the socket *connection*; *owner* is a pidfd of the test process.

    Instances have mount namespaces if a directory is given on which their tree can be built, *place*.
    """
    signals.reset()
    signals.install()
    freezing.install()
    clocks.spare_logging()
    real_waits.install()
    children.install()
    network.install()
    for name in ("dateutil", "six"):
        for module in [module for module in sys.modules if module == name or module.startswith(name + ".")]:
            del sys.modules[module]  # a handler's own copy must win
    for name in preload:
        __import__(name)
    os.register_at_fork(after_in_child=signals.leave_watch)
    os.register_at_fork(after_in_child=door.detach)
    sys.dont_write_bytecode = True
    sys.argv = ["bootstrap.py"]
    output.install()
    gates.install()
    mark = os.environ.pop(wire.OWNER_MARK)
    os.putenv(wire.OWNER_MARK, mark)  # what an instance starts inherits it; user code does not see it
    linux.adopt_orphans()
    gc.disable()
    gc.collect()
    gc.freeze()
    zygote = Zygote(socket.socket(fileno=connection), owner, None)
    if place:
        try:
            zygote.trees = mounts.Trees(place)
        except OSError as error:
            zygote.refuse(_words_of(error))
    zygote.run()
