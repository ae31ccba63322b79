"""The child processes of an instance: while one of them lives, the clock stands, unless all wait for each other.

``/proc`` is read only for an instance that has ever started a child: it counts that in shared memory, before and after.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ..lockstep.state import InstanceFact, InstanceState, Life, Preemption
from ..protocol import procfs
from ..protocol.kernel_waits import name_of
from ..protocol.real_time import REAL
from .at_rest import Rest, at_rest

_FORK_SERVER = b"from multiprocessing.forkserver import main"
_HELPERS = (b"from multiprocessing.resource_tracker import main", _FORK_SERVER)
"""What the interpreters run that ``multiprocessing`` keeps for itself as long as its process lives."""
_KERNEL_NAME_BYTES = 15
"""As much of a program's name as the kernel keeps."""
IDLE_AFTER = 0.1
"""Real seconds in which a program in the background has not worked: then a thread that waits for it holds nothing."""
STILL_LIMIT = 0.1
"""Real seconds in which threads of an instance come to rest that have something left to do at the end of a call."""
WORK_NS = 1_000_000
"""Processor time of such a program that counts as work."""


_AWAKE = (b"R", b"D")
"""States of a process that may be about to say something: it waits for nothing that somebody else does."""


@dataclass(frozen=True)
class Child:
    """A child process of an instance, or a child of one."""

    pid: int
    name: str
    """The name of its program; empty for a fork of the instance itself."""

    def __str__(self) -> str:
        return f"{self.name!r} (pid {self.pid})" if self.name else f"pid {self.pid}, a fork of the handler's process"


class Below(NamedTuple):
    """The processes below an instance that live."""

    holding: tuple[Child, ...]
    """Those that are not in the background."""
    living: frozenset[int]
    background: tuple[int, ...] = ()
    helpers: tuple[int, ...] = ()
    """Those that ``multiprocessing`` keeps for itself, and that have nothing to do."""


_NOBODY = Below((), frozenset())


class Background:
    """Since when the programs in the background of an instance have not worked."""

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
    """The instance whose children are looked at: what of its state is asked, and what is said to it."""

    pid: int
    control: Any
    """The page that it shares with the harness, in units of 64 bits."""
    state: InstanceState
    """What it does."""
    listening: set[int]
    """Signals that its code has handlers of."""
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
    """What the harness knows of the children of one instance, and of theirs."""

    background: tuple[str, ...] = ()
    """The programs, by name, that do not hold the clock (``deploy(background=)``)."""

    def __init__(self, instance: Owner) -> None:
        self._instance = instance
        self.ending: set[int] = set()
        """Processes that user code has sent the signal to end: they hold the clock until they have."""
        self._handled: object = None
        """What the children were when it had last dealt with their ends, and with what they have written."""
        self._rest: Rest | None = None
        """What the last look found of those that would hold the clock, and do not, as they wait for the instance."""
        self.holding: tuple[Child, ...] = ()
        """Those that held the clock at the last look."""
        self.threads_rest = False
        """At the last look the instance's threads outside its scheduler waited for it or for its children."""
        self._answered: tuple[bytes, ...] | None = None
        """How often these had run when the instance was last asked whether they have made a wait ready."""
        self._background = Background()

    @property
    def is_listening(self) -> bool:
        """User code has a handler of SIGCHLD, or waits for descriptors of which children may hold the other ends.

        To be asked where any may live.
        """
        instance = self._instance
        return signal.SIGCHLD in instance.listening or instance.control.watches > 0

    @property
    def can_answer(self) -> bool:
        """At the last look a thread of the instance was in its scheduler, which answers what it is asked."""
        return self._rest is None or self._rest.inside

    @property
    def possible(self) -> bool:
        """Whether any may live; it costs next to nothing to ask."""
        instance = self._instance
        if instance.released or not instance.pid:
            return False
        control = instance.control
        return bool(control.forks != control.childless)

    def look(self) -> tuple[Child, ...]:
        """Those that hold the clock now: they live, and neither they nor what started them is in the background.

        Nobody does where all of them wait for the instance, which alone can have them go on. Where threads of it wait
        outside its scheduler, they have to wait for it or for its children themselves.
        """
        instance = self._instance
        if instance.stopped and not (instance.gone or instance.released):
            return self.holding  # nothing of it has run since the last look, but to stop
        waits = instance.state.preemption is Preemption.SLEEPS and not (instance.gone or instance.released)
        waits = waits and not instance.traces_user_code  # that looks at its threads itself, and has found none at rest
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
            rest = at_rest(pids, lambda: self._are_all(below))
        if rest is not None:
            self.holding, self._rest = (), rest
        return self.holding

    def look_once_still(self) -> None:
        """Look before the instance is stopped, which has just been asked: a thread of it may be answering."""
        deadline = REAL.monotonic() + STILL_LIMIT
        while not self._instance.state.cpu_bound:
            runs, _ = procfs.activity(self._instance.pid)  # before the look, which finds no rest where one runs
            self.look()
            if self.threads_rest or not runs or REAL.monotonic() > deadline:
                return
            os.sched_yield()

    def _rest_with_threads(self, pids: list[int], below: Below) -> Rest | None:
        """What is found where the children and the threads outside the scheduler of the instance wait for each other.

        What a program in the background does comes when it comes. A wait for it holds nothing where another thread has
        a wait that time ends, and the program does not work just now: it may be about to say that it has started.
        """
        instance = self._instance
        wakeup_fd = instance.control.wakeup_fd
        rest = at_rest(pids, lambda: self._are_all(below), instance.pid, wakeup_fd, below.helpers)
        if rest is None or (rest.main and instance.has_alarm):  # it is woken again and again to report that
            return None
        if not below.background:
            return rest
        beside = instance.head is not None and not rest.main
        return rest if beside and self._background.is_idle(below.background) else None

    def _are_all(self, below: Below) -> bool:
        """Whether another look finds what the one before has found; the background may start what it likes."""
        now = self._look_below() if self.possible else _NOBODY
        return (now.holding, now.helpers) == (below.holding, below.helpers)

    def question(self) -> InstanceFact | None:
        """What the instance has to be asked before time may pass; None: nothing has happened that it may not know.

        A handler of SIGCHLD may still have to be called for the end of a child, or a thread outside its scheduler may
        have made a wait ready that is in it. To be called when the instance waits, and nothing holds the clock; what
        is found now is not found once more.
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
        """The report that was asked for did not see all that was sent: it may have to be asked for again."""
        self._answered = None

    def exempt(self, programs: tuple[str, ...]) -> None:
        """*programs*, by name, do not hold the clock."""
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
        """Send *signum* to all that live, but for the processes *besides*; gives those that it was sent to."""
        with self.handles() as pidfds:
            return send(signum, pidfds, besides)

    @contextmanager
    def handles(self) -> Iterator[dict[int, int]]:
        """A pidfd of each that lives and may run user code, by its process id.

        The helpers of ``multiprocessing`` wait for their process alone. A signal that has one of them go on would wake
        it, and until it waits again the clock could not pass it.
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
            yield {pid: pidfd for pid, pidfd in opened.items() if pid in still}  # it is the one that was looked at
        finally:
            for pidfd in opened.values():
                os.close(pidfd)


def send(signum: int, pidfds: Mapping[int, int], besides: Collection[int] = ()) -> frozenset[int]:
    """Send *signum* to processes, given by their ids with pidfds, that may have ended; not to those *besides*.

    Gives those that it was sent to: another user's refuse it, as a container of Docker or a program started by ``sudo``
    is to an ordinary user.
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
    """The processes below *pid* that live, and those *elsewhere*, which count as its children.

    What is below a process in the background is so, too, and one of *ending* is not. A process that has ended and was
    not waited for does not live.
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
                forks = parent in helpers and _FORK_SERVER in parent_command
                works = forks and not _waits_for_requests(parent)  # first: it may fork, and wait again, between the two
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
        seen = found  # one that ended meanwhile has given its children to a process that was looked at before


def _waits_for_requests(fork_server: int) -> bool:
    """Whether it has nothing to do: a process that it is to fork has been, and its id sent.

    Once there is a request the kernel does not let it sleep there. It may sleep elsewhere, before it serves (in a
    module that it is to import first) and while it forks (``os.register_at_fork``).
    """
    call = procfs.system_call_of(fork_server, str(fork_server))
    if not call:  # it may not be looked at, or has ended
        return procfs.state_of(fork_server) not in _AWAKE
    return call[0].isdigit() and name_of(int(call[0])) == "epoll"


def _is_helper(command: bytes, parent_command: bytes) -> bool:
    """Whether ``multiprocessing`` keeps a process for itself; what such a one has forked is a worker."""
    return command != parent_command and any(text in command for text in _HELPERS)


def _started_as(command: bytes) -> list[str]:
    """The last parts of a command's words: the program, and of a script the interpreter first."""
    return [os.path.basename(word).decode("utf-8", "replace") for word in command.split(b"\0")[:3]]


def _program(name: str, command: bytes) -> str:
    """What a user calls a program: the kernel's *name* for it, whole."""
    if len(name.encode()) < _KERNEL_NAME_BYTES:
        return name
    return next((word for word in _started_as(command) if word.startswith(name)), name)


def _is_named(names: tuple[str, ...], name: str, command: bytes) -> bool:
    """Whether one of *names* is the kernel's *name* for a program, or what it was started as."""
    if not names:
        return False
    known = (name, *_started_as(command)[:1])
    return any(wanted in known or wanted.encode()[:_KERNEL_NAME_BYTES] == name.encode() for wanted in names)
