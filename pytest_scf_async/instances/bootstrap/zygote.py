"""The zygote: a fresh interpreter with all that an instance needs, which forks instances from its main thread.

It ends, and with it every process below it, when the harness's socket is closed or the test process is gone; what it
cannot do then, its keeper does. Orphans of instances come to it (an instance adopts those of its own children while it
lives), and are killed at once: a child of the zygote that is no instance belonged to an instance that is gone.
"""

from __future__ import annotations

import array
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
from . import freezing, instance, keeper, linux, loading, output  # noqa: E402
from .door import door  # noqa: E402

PACKET = 1 << 18
DESCRIPTORS = 5


class Zygote:
    def __init__(self, connection: socket.socket, owner: int) -> None:
        self.connection = connection
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
            for fd, _ in self.poller.poll():
                if fd == self.owner:
                    self.end()
                elif fd in self.pidfds:
                    self._reap(fd)
                else:
                    self._serve()

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
        loading.compile_ahead(request["entry"])
        instance.prepare(request["environment"])
        try:
            pid = os.fork()
        except OSError as error:
            self._answer({"op": "refused", "id": request["id"], "error": str(error)})
            pid = -1
        if pid == 0:
            zygote = os.getppid()
            for fd in (self.connection.detach(), self.owner, *self.pidfds):
                os.close(fd)
            instance.main(request, fds, zygote)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            self.instances[pid] = request["id"]
            pidfd = os.pidfd_open(pid)
            self.pidfds[pidfd] = pid
            self.poller.register(pidfd, select.POLLIN)
            self._answer({"op": "spawned", "id": request["id"], "pid": pid}, pidfd)

    def _reap(self, pidfd: int) -> None:
        """An instance has ended: what it left behind has come to us, and ends now too."""
        pid = self.pidfds.pop(pidfd)
        self.poller.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(pid, 0)
        number = self.instances.pop(pid)
        keeper.kill_children(spared=self.instances.keys())
        self._answer({"op": "gone", "id": number, "status": status, "rss": usage.ru_maxrss * 1024})

    def _answer(self, answer: wire.JsonObject, fd: int | None = None) -> None:
        ancillary: list[Any] = []
        if fd is not None:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        try:
            self.connection.sendmsg([json.dumps(answer).encode()], ancillary)
        except (BrokenPipeError, ConnectionResetError):
            self.end()


def main(connection: int, owner: int, preload: list[str]) -> NoReturn:
    """Serve the harness at the other end of the socket *connection*; *owner* is a pidfd of the test process."""
    signals.reset()
    signals.install()
    freezing.install()
    clocks.spare_logging()
    real_waits.install()
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
    mark = os.environ.pop(wire.OWNER_MARK)
    os.putenv(wire.OWNER_MARK, mark)  # what an instance starts inherits it; user code does not see it
    linux.adopt_orphans()
    gc.disable()
    gc.collect()
    gc.freeze()
    Zygote(socket.socket(fileno=connection), owner).run()
