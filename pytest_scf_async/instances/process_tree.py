"""The child processes of an instance: while one of them lives, the clock stands.

``/proc`` is read only for an instance that has ever started a child: it counts that in shared memory, before and after.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..protocol import messages, procfs

if TYPE_CHECKING:
    from .instance import Instance

_HELPERS = (b"from multiprocessing.resource_tracker import main", b"from multiprocessing.forkserver import main")
"""What the interpreters run that ``multiprocessing`` keeps for itself as long as its process lives."""
_KERNEL_NAME_BYTES = 15
"""As much of a program's name as the kernel keeps."""


@dataclass(frozen=True)
class Child:
    """A child process of an instance, or a child of one."""

    pid: int
    name: str
    """The name of its program; empty for a fork of the instance itself."""

    def __str__(self) -> str:
        return f"{self.name!r} (pid {self.pid})" if self.name else f"pid {self.pid}, a fork of the handler's process"


class Children:
    """What the harness knows of the children of one instance, and of theirs."""

    background: tuple[str, ...] = ()
    """The programs, by name, that do not hold the clock (``deploy(background=)``)."""
    asked = False
    """The instance has been asked to say when it has dealt with the ends of children."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.ending: set[int] = set()
        """Processes that user code has sent the signal to end: they hold the clock until they have."""
        self._heard: object = None
        """What the children were when it had last dealt with their ends."""
        self.holding: tuple[Child, ...] = ()
        """Those that held the clock at the last look."""

    @property
    def listened_to(self) -> bool:
        """User code has a handler of SIGCHLD, or waits for descriptors of which children may hold the other ends.

        To be asked where any may live.
        """
        instance = self._instance
        return signal.SIGCHLD in instance.listening or instance.control[messages.CONTROL_WATCHES] > 0

    @property
    def possible(self) -> bool:
        """Whether any may live; it costs next to nothing to ask."""
        instance = self._instance
        if instance.released or not instance.pid:
            return False
        control = instance.control
        return bool(instance.members) or bool(control[messages.CONTROL_FORKS] != control[messages.CONTROL_CHILDLESS])

    def look(self) -> tuple[Child, ...]:
        """Those that hold the clock now: they live, and neither they nor what started them is in the background."""
        self.holding = ()
        if self.possible and not self._instance.gone:
            control = self._instance.control
            forks = control[messages.CONTROL_FORKS]
            self.holding, living = self._look_below()
            self.ending &= living
            if not living and (not self.listened_to or self._heard == (forks, living)):
                control[messages.CONTROL_CHILDLESS] = forks
        return self.holding

    def ask(self) -> bool:
        """Whether a handler of SIGCHLD may still have to be called for an end: the instance has been asked, then.

        To be called when the instance waits, and nothing holds the clock; it computes until it has answered.
        """
        instance = self._instance
        if not self.possible or not self.listened_to or instance.frozen or instance.gone:
            return False
        children = instance.control[messages.CONTROL_FORKS], self._look_below()[1]
        if self._heard == children:
            return False
        self._heard = children
        self.ask_to_look()
        return True

    def _look_below(self) -> tuple[tuple[Child, ...], frozenset[int]]:
        return _look_below(self._instance.pid, self.background, self.ending, self._members)

    @property
    def _members(self) -> frozenset[int]:
        """Processes below it that are in lockstep themselves: each looks at what is below it."""
        root = self._instance if self._instance.parent is None else self._instance.parent
        return frozenset(member.pid for member in root.members if not member.left)

    def ask_to_look(self) -> None:
        """Have an instance that waits look at its signals and its descriptors; it computes until it has answered."""
        if not self._instance.begun:
            return  # it looks when it begins
        self.asked = self._instance.turn = True
        self._instance.send(messages.ASK_SIGNALS)

    def signal(self, signum: int) -> None:
        """Send *signum* to all that live."""
        if not self.possible:
            return
        pidfds: dict[int, int] = {}
        try:
            for pid in procfs.descendants_of(self._instance.pid):
                try:
                    pidfds[pid] = os.pidfd_open(pid)
                except OSError:
                    continue
            still = frozenset(procfs.descendants_of(self._instance.pid)) if pidfds else frozenset()
            for pid, pidfd in pidfds.items():
                if pid in still:  # it is the one that was looked at
                    try:
                        signal.pidfd_send_signal(pidfd, signum)
                    except (ProcessLookupError, PermissionError):
                        continue  # it has ended, or has become another user's
        finally:
            for pidfd in pidfds.values():
                os.close(pidfd)


def _look_below(
    pid: int, background: tuple[str, ...], ending: Collection[int] = (), spared: Collection[int] = ()
) -> tuple[tuple[Child, ...], frozenset[int]]:
    """The processes below *pid* that live and are not in the *background*, and the ids of all that live.

    What is below a process in the background is so, too, and one of *ending* is not. Nothing of what is *spared*, nor
    below that. A process that has ended and was not waited for does not live.
    """
    own = _read(f"/proc/{pid}/cmdline")
    seen: set[int] | None = None
    while True:
        found: set[int] = set()
        living: set[int] = set()
        holding: list[Child] = []
        helpers: dict[int, Child] = {}
        level = [(pid, own, False)]
        while level:
            below: list[tuple[int, bytes, bool]] = []
            for parent, parent_command, exempt in level:
                children = [child for child in procfs.children_of(parent) if child not in spared]
                alive = 0
                for child in children:
                    name = None if child in found else _name_if_alive(child)
                    found.add(child)
                    if name is None:
                        continue
                    alive += 1
                    living.add(child)
                    command = _read(f"/proc/{child}/cmdline")
                    is_exempt = (exempt or _is_named(background, name, command)) and child not in ending
                    is_helper = command != parent_command and any(text in command for text in _HELPERS)
                    if is_helper and not is_exempt:
                        helpers[child] = Child(child, _program(name, command))
                    elif not is_exempt:
                        holding.append(Child(child, "" if command == own else _program(name, command)))
                    below.append((child, command, is_exempt))
                if parent in helpers and not alive and (children or not _sleeps(parent)):
                    holding.append(helpers[parent])  # it has still to tell of the end of a child of its own
            level = below
        if holding or found == seen:
            return tuple(holding), frozenset(living)
        seen = found  # one that ended meanwhile has given its children to a process that was looked at before


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def _name_if_alive(pid: int) -> str | None:
    """The kernel's name of the program that *pid* runs; None when it has ended."""
    before, bracket, after = _read(f"/proc/{pid}/stat").rpartition(b")")
    fields = after.split()
    if not bracket or fields[0] == b"X":
        return None
    if fields[0] == b"Z" and int(fields[17]) < 2:  # its first thread may have ended before the others
        return None
    return before.partition(b"(")[2].decode("utf-8", "replace")


def _sleeps(pid: int) -> bool:
    """Whether *pid* waits for something, or is stopped or gone; a process that is about to say something does not."""
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:1] not in ([b"R"], [b"D"])


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
