"""The child processes of an instance: while one of them lives, the clock stands still, unless all wait for each other.

``/proc`` is read only for an instance that has started a child. The instance counts each start in shared memory, before
and after the fork.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ..linux import procfs
from ..linux.kernel_waits import name_of
from ..protocol.real_time import REAL
from .at_rest import Rest, at_rest
from .state import InstanceFact, InstanceState, Life, Preemption

_KERNEL_NAME_BYTES = 15
"""The kernel cuts the name of a program at this length."""
IDLE_AFTER = 0.1
"""A background program is idle after so many real seconds without work: then a wait for it need not hold the clock."""
STILL_LIMIT = 0.1
"""Real seconds that threads of an instance have at the end of a call to finish what they do, and to come to rest."""
WORK_NS = 1_000_000
"""A background program has worked if it used more than this much processor time, in ns."""


_AWAKE = (b"R", b"D")
"""States of a process that does not wait for another one, and may be about to do something."""


@dataclass(frozen=True)
class Child:
    """A descendant process of an instance."""

    pid: int
    name: str
    """The name of its program; empty for a fork of the instance itself."""

    def __str__(self) -> str:
        return f"{self.name!r} (pid {self.pid})" if self.name else f"pid {self.pid}, a fork of the handler's process"


class Below(NamedTuple):
    """The living processes below an instance."""

    holding: tuple[Child, ...]
    """Those that are neither in the background nor idle helpers."""
    living: frozenset[int]
    background: tuple[int, ...] = ()
    helpers: tuple[int, ...] = ()
    """Those that ``multiprocessing`` keeps for its own use, and that have nothing to do."""


_NOBODY = Below((), frozenset())


class Background:
    """When the background programs of an instance last worked."""

    def __init__(self) -> None:
        self._pids: tuple[int, ...] = ()
        self._cpu_ns = 0
        self._worked_at = 0.0

    def is_idle(self, pids: tuple[int, ...]) -> bool:
        now, cpu_ns = REAL.monotonic(), sum(procfs.cpu_ns(pid) for pid in pids)
        if (
            pids != self._pids
            or cpu_ns - self._cpu_ns > WORK_NS
            or any(procfs.state_of(pid) in (b"R", b"D") for pid in pids)
        ):
            self._pids, self._cpu_ns, self._worked_at = pids, cpu_ns, now
        return now - self._worked_at > IDLE_AFTER


class Owner(Protocol):
    """The part of an instance that `Children` reads."""

    pid: int
    control: Any
    """The page that it shares with the harness, in units of 64 bits."""
    state: InstanceState
    """Its state in the scheduler."""
    listening: set[int]
    """The signals for which its code has handlers."""
    stopped: bool
    released: bool

    @property
    def gone(self) -> bool: ...
    @property
    def head(self) -> object: ...
    @property
    def has_alarm(self) -> bool: ...
    @property
    def traces_user_code(self) -> bool: ...
    @property
    def elsewhere(self) -> Sequence[int]: ...


class Children:
    """The descendants of one instance, as far as the harness knows them."""

    background: tuple[str, ...] = ()
    """The programs, by name, that do not hold the clock (``deploy(background=)``)."""

    def __init__(self, instance: Owner) -> None:
        self._instance = instance
        self.ending: set[int] = set()
        """Processes to which user code has sent a signal to end: each holds the clock until it has ended."""
        self._handled: object = None
        """The state of the children when the instance was last asked to handle their ends and their output."""
        self._rest: Rest | None = None
        """From the last `look`: the state of processes that do not hold the clock, as they wait for each other."""
        self.holding: tuple[Child, ...] = ()
        """The processes that held the clock at the last `look`."""
        self.threads_rest = False
        """Whether at the last `look` the threads outside the scheduler waited for the instance or for its children."""
        self._answered: tuple[bytes, ...] | None = None
        """The runs of `_rest` when the instance was last asked whether those threads have made a wait ready."""
        self._background = Background()

    @property
    def is_listening(self) -> bool:
        """Whether user code has handlers of signals, which children may send, or waits for descriptors whose other ends
        they may have.

        Only valid while children may live (`possible`).
        """
        instance = self._instance
        return bool(instance.listening) or instance.control.watches > 0

    @property
    def can_answer(self) -> bool:
        """Whether at the last `look` a thread of the instance was in its scheduler, where it answers requests."""
        return self._rest is None or self._rest.inside

    @property
    def possible(self) -> bool:
        """Whether any descendant may live. This is cheap: it reads shared memory only."""
        instance = self._instance
        if instance.released or not instance.pid:
            return False
        control = instance.control
        return bool(control.forks != control.childless)

    def look(self) -> tuple[Child, ...]:
        """The processes that hold the clock now.

        A process holds the clock if it lives and neither it nor one of its ancestors is in the background. If all such
        processes wait for the instance, none of them holds the clock, because only the instance can wake them. If
        threads of the instance wait outside its scheduler, they must wait for the instance or its children, too.
        """
        instance = self._instance
        if instance.stopped and not (instance.gone or instance.released):
            return self.holding  # none of its processes has run since the last look, except to stop
        waits = instance.state.preemption is Preemption.SLEEPS and not (instance.gone or instance.released)
        waits = waits and not instance.traces_user_code  # it checks its threads itself, and reports when all rest
        self.holding, self._rest, self.threads_rest = (), None, False
        below = _NOBODY
        if self.possible and not instance.gone:
            control = instance.control
            forks = control.forks
            below = self._look_below()
            self.holding = below.holding
            self.ending &= below.living
            if not below.living and (not self.is_listening or self._handled == (forks, below.living, None)):
                control.childless = forks
        if self.ending:
            return self.holding
        pids = [child.pid for child in self.holding]
        rest = self._rest_with_threads(pids, below) if waits else None
        self.threads_rest = rest is not None
        if rest is None and pids:
            rest = at_rest(pids, lambda: self._are_all(below), self._instance.pid)
        if rest is not None:
            self.holding, self._rest = (), rest
        return self.holding

    def look_once_still(self) -> None:
        """`look` until the threads of the instance rest, before it is stopped: one may be answering a request.

        This ends after `STILL_LIMIT` if they do not come to rest.
        """
        deadline = REAL.monotonic() + STILL_LIMIT
        while not self._instance.state.cpu_bound:
            runs, _ = procfs.activity(self._instance.pid)  # read before the look: it finds no rest while a thread runs
            self.look()
            if self.threads_rest or not runs or REAL.monotonic() > deadline:
                return
            os.sched_yield()

    def _rest_with_threads(self, pids: list[int], below: Below) -> Rest | None:
        """The `Rest` of the children and the threads outside the scheduler if they wait for each other, else None.

        A thread may wait for a background program, whose work takes real time. That wait does not hold the clock if
        another thread has a wait with a due time and the program is idle. A program that works may be about to report
        that it has started.
        """
        instance = self._instance
        wakeup_fd = instance.control.wakeup_fd
        rest = at_rest(pids, lambda: self._are_all(below), instance.pid, wakeup_fd, below.helpers)
        if rest is None or (rest.main and instance.has_alarm):  # the alarm wakes the main thread again and again
            return None
        if not below.background:
            return rest
        beside = instance.head is not None and not rest.main
        return rest if beside and self._background.is_idle(below.background) else None

    def _are_all(self, below: Below) -> bool:
        """Whether the same processes live as in *below*. Processes in the background may have started others."""
        now = self._look_below() if self.possible else _NOBODY
        return (now.holding, now.helpers) == (below.holding, below.helpers)

    def question(self) -> InstanceFact | None:
        """What the instance must be asked before time may pass; None: it knows of all that has happened.

        It may not yet have called the handler of a signal: of SIGCHLD at the end of a child, or of one that a child has
        sent. Or a thread outside its scheduler may have made a wait ready that another thread has in the scheduler.
        Call this when the instance waits and nothing holds the clock. The same change is reported once only.
        """
        instance = self._instance
        state = instance.state
        if state.idle or instance.gone or state.life is Life.GIVEN_UP:
            return None
        if state.preempted:
            rest = self._rest
            if rest is None or not rest.inside or (self._answered == rest.runs and not instance.control.muted):
                return None
            self._answered = rest.runs
            return InstanceFact.POLLED
        if not self.possible or not self.is_listening:
            return None
        children = instance.control.forks, self._look_below().living, self._rest and self._rest.runs
        if self._handled == children:
            return None
        self._handled = children
        return InstanceFact.SIGNALS_POLLED

    def report_crossed(self) -> None:
        """Allow the same question again: the report was sent before the instance had received all messages."""
        self._answered = None

    def exempt(self, programs: tuple[str, ...]) -> None:
        """Let *programs*, given by name, not hold the clock."""
        self.background = programs

    def _look_below(self) -> Below:
        instance = self._instance
        return _look_below(instance.pid, self.background, self.ending, instance.elsewhere)

    def _descendants(self) -> list[int]:
        instance = self._instance
        found = procfs.descendants_of(instance.pid)
        for pid in instance.elsewhere:
            found += [pid, *procfs.descendants_of(pid)]
        return found

    def signal(self, signum: int, besides: Collection[int] = ()) -> frozenset[int]:
        """Send *signum* to all living descendants except *besides*; returns those to which it was sent."""
        with self.handles() as pidfds:
            return send(signum, pidfds, besides)

    @contextmanager
    def handles(self) -> Iterator[dict[int, int]]:
        """A pidfd of each living descendant that may run user code, by its process id.

        The helpers of ``multiprocessing`` are left out: they only wait for their process. A signal that continues a
        helper would wake it, and it would hold the clock until it waits again.
        """
        opened: dict[int, int] = {}
        try:
            for pid in self._descendants() if self.possible else ():
                command = procfs.command_of(pid)
                if _is_helper(command, procfs.command_of(procfs.parent_of(pid) or 0)):
                    continue
                try:
                    opened[pid] = os.pidfd_open(pid)
                except OSError:
                    continue
            still = frozenset(self._descendants()) if opened else frozenset()
            yield {pid: pidfd for pid, pidfd in opened.items() if pid in still}  # no id was reused meanwhile
        finally:
            for pidfd in opened.values():
                os.close(pidfd)


def send(signum: int, pidfds: Mapping[int, int], besides: Collection[int] = ()) -> frozenset[int]:
    """Send *signum* to processes, given by their ids with pidfds, except those *besides*. Some may have ended.

    Returns the processes to which it was sent. An ordinary user may not send it to a process of another user, such as a
    container of Docker or a program started by ``sudo``.
    """
    sent = set()
    for pid, pidfd in pidfds.items():
        if pid in besides:
            continue
        try:
            signal.pidfd_send_signal(pidfd, signum)
        except (ProcessLookupError, PermissionError):
            continue
        sent.add(pid)
    return frozenset(sent)


def _look_below(
    pid: int,
    background: tuple[str, ...],
    ending: Collection[int] = (),
    elsewhere: Sequence[int] = (),
) -> Below:
    """The living processes below *pid*, and those *elsewhere*, which count as its children.

    A process below one in the background is in the background, too, unless it is one of *ending*. A zombie does not
    count as living.
    """
    own = procfs.command_of(pid)
    seen: set[int] | None = None
    while True:
        found: set[int] = set()
        living: set[int] = set()
        holding: list[Child] = []
        helpers: dict[int, Child] = {}
        working: set[int] = set()
        exempted: list[int] = []
        level = [(pid, own, False)]
        while level:
            below: list[tuple[int, bytes, bool]] = []
            for parent, parent_command, exempt in level:
                forks = parent in helpers and procfs.is_fork_server(parent_command)
                # Checked before its children are read: in between it may fork, and wait again.
                works = forks and not _waits_for_requests(parent)
                children = [*procfs.children_of(parent), *(elsewhere if parent == pid else ())]
                for child in children:
                    name = None if child in found else procfs.living_name(child)
                    found.add(child)
                    if name is None:
                        works = forks
                        continue
                    living.add(child)
                    command = procfs.command_of(child)
                    is_exempt = (exempt or _is_named(background, name, command)) and child not in ending
                    is_helper = _is_helper(command, parent_command)
                    if is_helper and not is_exempt:
                        helpers[child] = Child(child, _program(name, command))
                    elif is_exempt:
                        exempted.append(child)
                    else:
                        holding.append(Child(child, "" if command == own else _program(name, command)))
                    below.append((child, command, is_exempt))
                if works:
                    holding.append(helpers[parent])
                    working.add(parent)
            level = below
        if holding or found == seen:
            idle = tuple(pid for pid in helpers if pid not in working)
            return Below(tuple(holding), frozenset(living), tuple(exempted), idle)
        seen = found  # a process that ended meanwhile may have left its children to one whose children were read before


def _waits_for_requests(fork_server: int) -> bool:
    """Whether the fork server of ``multiprocessing`` waits for requests: all processes requested so far are forked.

    It waits for requests in ``epoll``, where the kernel does not let it sleep while there is one. A sleep in another
    call is work: it may import a module before it serves, or run ``os.register_at_fork`` functions.
    """
    call = procfs.system_call_of(fork_server, str(fork_server))
    if not call:  # this process may not read it, or it has ended
        return procfs.state_of(fork_server) not in _AWAKE
    return call[0].isdigit() and name_of(int(call[0])) == "epoll"


def _is_helper(command: bytes, parent_command: bytes) -> bool:
    """Whether ``multiprocessing`` keeps a process for its own use. A process that a helper has forked is a worker."""
    return command != parent_command and procfs.is_of_multiprocessing(command)


def _started_as(command: bytes) -> list[str]:
    """The last parts of a command's first words: of the program, or of the interpreter and its script."""
    return [os.path.basename(word).decode("utf-8", "replace") for word in command.split(b"\0")[:3]]


def _program(name: str, command: bytes) -> str:
    """The name of a program: the kernel's *name*, completed from the command if the kernel has cut it."""
    if len(name.encode()) < _KERNEL_NAME_BYTES:
        return name
    return next((word for word in _started_as(command) if word.startswith(name)), name)


def _is_named(names: tuple[str, ...], name: str, command: bytes) -> bool:
    """Whether one of *names* is the kernel's *name* for a program, or the name by which it was started."""
    if not names:
        return False
    known = (name, *_started_as(command)[:1])
    return any(wanted in known or wanted.encode()[:_KERNEL_NAME_BYTES] == name.encode() for wanted in names)
