"""The zygote: a fresh interpreter that has imported what instances need, and forks instances from its main thread.

When the harness closes its socket, the zygote kills all processes below it and exits. When the test process ends, the
reaper kills the zygote. An instance adopts the orphans of its children while it lives. Later orphans become children of
the zygote, which kills them when it reaps the instance: a child that is not an instance belonged to one that has ended.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

from ..python import clock
from ..python.patches import early_imports, real_waits
from ..python.patches import time as sleeping

clock.install()
sleeping.install()

# These modules import threading and queue, which bind clock functions, so the clock is installed before.
from ..python.patches import locks, signals, threads  # noqa: E402
from ..python.patches import select as select_patches  # noqa: E402

locks.install()
threads.install()
select_patches.install()

from ..linux import linux, procfs  # noqa: E402
from ..protocol import messages  # noqa: E402
from ..python import ahead, instance, loading, parts, root_logger, wing_part  # noqa: E402
from ..python.gates import gates  # noqa: E402
from ..python.patches import (  # noqa: E402
    affinity,
    after_import,
    alarms,
    c_code,
    children,
    output,
    random_numbers,
    signal_waits,
    socket_waits,
    sockets,
    tracebacks,
    unsimulated,
    waits_in_c,
)
from ..python.scheduler.scheduler import scheduler  # noqa: E402
from ..side import mounts  # noqa: E402
from ..side.originals import real_epoll  # noqa: E402
from ..wings.in_zygote import PARTS  # noqa: E402
from . import immortal, reaper  # noqa: E402

PACKET = 1 << 18
DESCRIPTORS = 4
"""What an instance takes."""
ROOM = 64
"""How many descriptor numbers below the pidfds stay free, for files that are open for a moment."""
FEW = 10
"""Up to so many instances it is not worth making objects immortal: that takes about 60 ms of processor time, and saves
each later instance about 1 ms."""


class Zygote:
    def __init__(self, connection: socket.socket, nonce: str, tracked: list[Any]) -> None:
        """*tracked* is what the garbage collector tracked before any module of a user was imported."""
        self.connection = connection
        self.nonce = nonce
        """The nonce by which frames are recognized in the output of this session's instances."""
        self.trees: mounts.Trees | None = None
        """The trees of mounts; None where instances have no mount namespaces."""
        self.common: messages.CommonMounts | None = None
        """The mounts that the next instances have in common."""
        self.inodes: list[int] = []
        """The inode numbers of the directories that are mounted there."""
        self.instances: dict[int, int] = {}
        """The number that the harness gave each instance, by process id."""
        self.pidfds: dict[int, int] = {}
        """The process ids of the instances, by pidfd. A pidfd is ready once its process ends, not when it stops."""
        self.poller = real_epoll()
        self.first_pidfd = max(procfs.descriptors_of("self")) + ROOM
        """From this number on all descriptors are pidfds, so that a fork can close them, however many, by one call."""
        self.last_pidfd = self.first_pidfd
        self.low_pidfds: set[int] = set()
        """The pidfds that are below `first_pidfd`, as no number above it was free."""
        self.immortals: list[Iterator[None]] = [immortal.make_immortal(tracked)]
        """The steps that are left of making immortal what has been imported, for each time that something was."""
        self.is_worth_it = False
        """Whether so many instances are forked that these steps are taken."""

    def run(self, not_filtered: str) -> NoReturn:
        """Serve the harness. If *not_filtered* is not empty, report it first: it is why there is no filter of binds."""
        self.poller.register(self.connection.fileno(), select.EPOLLIN)
        if not_filtered:
            self._answer(messages.NotFiltered(not_filtered))
        self._answer(messages.Ready(os.getpid(), clock.fallback))
        while True:
            ready = self.poller.poll(0)
            if not ready:
                self._make_ready()
                ready = self._make_immortal() or self.poller.poll()
            fds = [fd for fd, _ in ready]
            if ended := [fd for fd in fds if fd in self.pidfds]:
                self._reap(ended)
            if len(ended) < len(fds):
                self._serve()

    def refuse(self, answer: messages.NotPreloaded | messages.NoNamespaces) -> NoReturn:
        """Report that instances cannot be as they were configured, and end."""
        self._answer(answer)
        self.end()

    def _make_ready(self) -> None:
        """Prepare the next instance while there is no request."""
        if self.trees is not None and self.common is not None:
            with contextlib.suppress(OSError):  # it occurs again, and is reported, when an instance needs the namespace
                self.trees.make_ready(self.common)

    def _make_immortal(self) -> list[tuple[int, int]]:
        """Make what has been imported immortal while there is no request; gives what is ready for the poller then."""
        while self.is_worth_it and self.immortals:
            for _ in self.immortals[-1]:
                ready: list[tuple[int, int]] = self.poller.poll(0)
                if ready:
                    return ready
            self.immortals.pop()
        return []

    def end(self) -> NoReturn:
        """Kill all processes below this one, and end."""
        reaper.kill_children()
        os._exit(0)

    def _serve(self) -> None:
        data, fds = linux.receive_descriptors(self.connection, PACKET, DESCRIPTORS + 1)
        if not data:
            self.end()
        kind, number = messages.TO_ZYGOTE.unpack_from(data)
        if kind == messages.SPAWN:
            self._spawn(number, fds)
        elif kind == messages.PROBE:
            self._probe(number)
        elif kind == messages.RECORD:
            self._record(number, fds)
        elif kind == messages.EXPECT:
            self._expect(messages.unpack(messages.Expect, data))
        else:
            for pid, known in self.instances.items():
                if known == number:
                    os.kill(pid, signal.SIGKILL)  # it is not reaped yet, so its id cannot be another process's

    def _expect(self, hint: messages.Expect) -> None:
        """Do now, once, the work that each of the next instances would otherwise do."""
        self.common, self.inodes = hint.common, hint.inodes
        if self.trees is not None and hint.common is not None:
            self.trees.see_all_of(hint.common)
        for path in hint.code:
            loading.compile_ahead(path)
        instance.prepare(hint.environment)
        gc.freeze()  # from here on the collector has nothing but what is imported now
        if not (hint.program or hint.sees_imports):
            for entry in hint.code[:1]:  # the entry only, not what the test runs before the init
                ahead.load(loading.first_imports(entry))
        if hint.wing_part is not None:
            wing_part.import_ahead(hint.wing_part)
            self.is_worth_it = True
        with c_code.ours_alone():
            if hint.wing_part is not None:
                gates.import_all()  # each instance of a sweep has a gate at lines
            for part in PARTS:
                part.import_ahead(hint)
        for module, ahead_of_it in hint.parts.items():
            parts.part(module).prepare(**ahead_of_it)
        self.immortals.append(immortal.make_immortal(gc.get_objects()))

    def _spawn(self, number: int, fds: list[int]) -> None:
        pid, pidfd = self._fork(number, partial(self._become_instance, fds), partial(self._prepare_fork, fds))
        for fd in fds:
            os.close(fd)
        self.is_worth_it = self.is_worth_it or number > FEW
        if pid > 0:
            if self.trees is not None and self.common is not None:
                tmp = self.trees.hand_over()
                self._answer(messages.Spawned(number, pid), (pidfd, tmp))
                os.close(tmp)
            else:
                self._answer(messages.Spawned(number, pid), (pidfd,))

    def _prepare_fork(self, fds: list[int]) -> None:
        if len(fds) != DESCRIPTORS:
            raise OSError(errno.EMFILE, f"descriptors for an instance: {os.strerror(errno.EMFILE)}")
        if self.trees is not None and self.common is not None:
            self.trees.make_ready(self.common, self.inodes)
        gc.freeze()  # else the garbage collector of each instance would scan what was imported since the last fork

    def _become_instance(self, fds: list[int], zygote: int) -> NoReturn:
        self._close_all()
        instance.main(self.nonce, fds, zygote)

    def _close_all(self) -> None:
        """Close what is the zygote's alone, in a process that it has forked."""
        of_mounts = [] if self.trees is None else self.trees.descriptors()
        for fd in (self.connection.detach(), self.poller.fileno(), *self.low_pidfds, *of_mounts):
            os.close(fd)
        os.closerange(self.first_pidfd, self.last_pidfd + 1)

    def _probe(self, number: int) -> None:
        """Fork a process that reports whether it can trace a program."""

        def report() -> None:
            for part in PARTS:
                self.connection.sendmsg([messages.pack(messages.Probed(part.why_untraced()))])

        self._fork(number, partial(self._serve_as, report))

    def _record(self, number: int, fds: list[int]) -> None:
        """Fork a recorder."""

        def record() -> None:
            self._close_all()
            for part in PARTS:
                part.record(fds[0])

        self._fork(number, partial(self._serve_as, record))
        for fd in fds:
            os.close(fd)

    def _fork(
        self, number: int, become: Callable[[int], NoReturn], make_ready: Callable[[], object] = lambda: None
    ) -> tuple[int, int]:
        """Fork a process that calls *become* with the id of this one, after *make_ready*; its id and pidfd.

        Its end is reported as an instance's is. The id is -1 where it could not be forked, which is reported.
        """
        zygote = os.getpid()  # the child would ask for its parent too late, where that is killed as it forks
        pid = pidfd = -1
        try:
            make_ready()
            pid = os.fork()
            if pid > 0:
                pidfd = self._open_pidfd(pid)
        except OSError as error:
            if pid > 0:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            self._answer(messages.Refused(number, _text_of(error)))
            return -1, -1
        if pid == 0:
            become(zygote)
        self.instances[pid] = number
        self.pidfds[pidfd] = pid
        self.poller.register(pidfd, select.EPOLLIN)
        return pid, pidfd

    @staticmethod
    def _serve_as(serve: Callable[[], object], zygote: int) -> NoReturn:
        """In a forked process that is not an instance: *serve*, unless the *zygote* has ended."""
        try:
            linux.die_with_parent()
            if os.getppid() == zygote:
                mounts.drop_capabilities()
                serve()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _open_pidfd(self, pid: int) -> int:
        opened = os.pidfd_open(pid)
        try:
            pidfd = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, self.first_pidfd)
        except OSError:
            self.low_pidfds.add(opened)
            return opened
        os.close(opened)
        self.last_pidfd = max(self.last_pidfd, pidfd)
        return pidfd

    def _reap(self, pidfds: list[int]) -> None:
        """Reap instances that have ended, and kill the orphans that they left."""
        ended: list[messages.Gone] = []
        for pidfd in pidfds:
            pid = self.pidfds.pop(pidfd)
            self.poller.unregister(pidfd)
            os.close(pidfd)
            self.low_pidfds.discard(pidfd)
            used_ns = clock.genuine.clock_gettime_ns(linux.cpu_clock_of(pid))  # not including the time of its children
            became = procfs.became(pid)
            _, status, usage = os.wait4(pid, 0)
            ended.append(messages.Gone(self.instances.pop(pid), status, used_ns, usage.ru_maxrss * 1024, became))
        reaper.kill_children(self.instances.keys(), await_trackers=self.trees is None)
        for gone in ended:
            self._answer(gone)

    def _answer(self, answer: messages.ZygoteAnswer, fds: Sequence[int] = ()) -> None:
        packet = messages.pack(answer)
        try:
            if fds:
                linux.send_descriptors(self.connection, packet, fds)
            else:
                self.connection.sendmsg([packet])
        except (BrokenPipeError, ConnectionResetError):
            self.end()


def _import_all(modules: list[str]) -> str:
    """Import *modules* for all instances; returns an empty text, or why one of them cannot be preloaded."""
    for name in modules:
        try:
            __import__(name)
        except Exception as error:
            return f"{name!r} cannot be imported: {type(error).__name__}: {error}"
        if threads.outside:  # only Python's threads: libraries in C handle forks themselves
            return f"{name!r} starts a thread when it is imported, and instances are forks, which have no such thread"
    return ""


def _take_classes_of_freezegun() -> None:
    from ..python.patches import datetime as datetime_patch  # noqa: PLC0415  (it imports freezegun)

    datetime_patch.install()
    for name in ("dateutil", "six"):
        for module in [module for module in sys.modules if module == name or module.startswith(name + ".")]:
            del sys.modules[module]  # a handler's own copy takes precedence


def _text_of(error: OSError) -> str:
    return f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")


def main(connection: int, nonce: str, preload: list[str], place: str, binds: reaper.Binds | None) -> NoReturn:
    """Serve the harness at the other end of the socket *connection*.

    If *place* is not empty, instances have mount namespaces, and their tree is built on that directory. Programs can
    listen on the loopback only, if there is a filter of *binds* that the reaper can serve.
    """
    signals.reset()
    signals.install()
    affinity.install()
    alarms.install()
    signal_waits.install()
    random_numbers.install()
    if clock.fallback:
        _take_classes_of_freezegun()
    early_imports.install()
    real_waits.install()
    select_patches.install_in_subprocess()
    children.install()
    waits_in_c.install()
    after_import.install()
    c_code.install()
    sockets.install()
    socket_waits.install()
    unsimulated.install()
    tracebacks.install()
    root_logger.install()
    tracked = gc.get_objects()  # what is preloaded is not among them: its code may watch its objects end
    refusal = _import_all(preload)
    os.register_at_fork(after_in_child=signals.leave_watch)
    os.register_at_fork(after_in_child=scheduler.detach)
    sys.dont_write_bytecode = True
    sys.argv = ["bootstrap.py"]
    output.install()
    root_logger.use_stdout()
    mark = os.environ.pop(messages.OWNER_MARK)
    os.putenv(messages.OWNER_MARK, mark)  # for children of instances only: it is not in ``os.environ``
    linux.adopt_orphans()
    gc.disable()
    gc.collect()
    gc.freeze()
    zygote = Zygote(socket.socket(fileno=connection), nonce, tracked)
    if refusal:
        zygote.refuse(messages.NotPreloaded(refusal))
    if place:
        try:
            zygote.trees = mounts.Trees(place)
        except OSError as error:
            zygote.refuse(messages.NoNamespaces(_text_of(error)))
    # In its namespaces an ordinary user may filter calls, as root may.
    zygote.run("" if binds is None else binds[0].install(binds[2]))
