"""The ways in which a sweep interrupts a handler: what ``how=`` takes."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from ..clock import duration_us
from ..errors import Given, ScfUsageError, hidden_from_users, keywords_named

__tracebackhide__ = hidden_from_users

Kind: TypeAlias = Literal["graceful", "forced", "timeout", "fault", "power"]
KINDS: tuple[Kind, ...] = ("graceful", "forced", "timeout", "power")
"""Ways that need no arguments."""
FileSystem: TypeAlias = Literal["posix", "ext4", "nfs"]
FILE_SYSTEMS: tuple[FileSystem, ...] = ("posix", "ext4", "nfs")
Failure: TypeAlias = Literal["enospc", "eio", "reset"]
FAULTS: dict[Failure, tuple[str, int]] = {
    "enospc": ("effect", errno.ENOSPC),
    "eio": ("effect", errno.EIO),
    "reset": ("connection", errno.ECONNRESET),
}
"""By name: the kind of points at which it comes, and the number of the error."""


@dataclass(frozen=True)
class Interruption:
    """One way to interrupt an event."""

    kind: Kind
    again_us: int | None = None
    """After so many µs of simulated time a second SIGTERM is sent."""
    forced_us: int | None = None
    """After so many µs of simulated time the event is terminated by force."""
    failure: Failure | None = None
    """The failure at the point: ``"enospc"``, ``"eio"`` or ``"reset"``; None: nothing fails."""
    lasting: bool = False
    """All later effects of the event that can fail so, or all its later traffic, fail, too."""
    file_system: FileSystem | None = None
    """The file system, which decides which changes are on the disk when the power fails; None: as fits the function."""

    @property
    def error(self) -> int:
        """The number of the error with which an effect fails; 0: none does."""
        kind, error = ("", 0) if self.failure is None else FAULTS[self.failure]
        return error if kind == "effect" else 0

    @property
    def name(self) -> str:
        """Its name in reports and keys: ``graceful,again=5``."""
        if self.failure is not None:
            return f"fault,{self.failure}{',lasting' * self.lasting}"
        if self.file_system is not None:
            return f"power,{self.file_system}"
        more = [("again", self.again_us), ("forced", self.forced_us)]
        return ",".join([self.kind, *(f"{name}={us / 1e6:g}" for name, us in more if us is not None)])


FORCED = Interruption("forced")
How: TypeAlias = "str | Interruption"


@keywords_named("graceful(...)")
def graceful(
    *,
    then: Literal["forced"] | None = None,
    after: float | timedelta | None = None,
    again: float | timedelta | None = None,
) -> Interruption:
    """A graceful termination: SIGTERM (document 63969).

    *again* sends a second SIGTERM so many simulated seconds later; *then* ``"forced"`` terminates the event by force
    *after* so many simulated seconds. Neither happens if it has ended by then. For ``how=`` of ``ScfRuntime.sweep``.
    Raises ``ScfUsageError`` for other values.
    """
    if then not in (None, "forced"):
        raise ScfUsageError(f"graceful(then={then!r}) is not valid: it must be 'forced'")
    if (then is None) != (after is None):
        raise ScfUsageError("graceful(then='forced', after=seconds) takes both or neither of its keywords")
    return Interruption(
        "graceful",
        None if again is None else duration_us(again, "graceful(again)"),
        None if after is None else duration_us(after, "graceful(after)"),
    )


@keywords_named("fault(...)")
def fault(failure: Failure, *, lasting: bool = False) -> Interruption:
    """An error of the kernel, with which the event goes on.

    - ``"enospc"`` (no space left on the device) hits each effect that takes space: a write that makes a file longer or
      fills a hole in it, and one that makes a name (a file, a directory, a link, a rename to a new name). It can also
      cut a write: a part is written, and the next such effect fails.
    - ``"eio"`` (input/output error) hits each effect that changes ``run.path``.
    - ``"reset"`` hits each piece of traffic on connections of the main thread in Python.

    The system call fails, whoever makes it. With *lasting* all later ones of that event fail, too. For ``how=`` of
    ``ScfRuntime.sweep``. Raises ``ScfUsageError`` for another failure.
    """
    if failure not in FAULTS:
        raise ScfUsageError(f"fault({failure!r}) is not valid: it must be {' or '.join(map(repr, FAULTS))}")
    return Interruption("fault", failure=failure, lasting=bool(lasting))


@keywords_named("power(...)")
def power(file_system: FileSystem) -> Interruption:
    """A power failure: the machine is gone, and with it one change that was not synced.

    Each run loses one such change: what was written to a file since it was synced, its last write, the part of that
    from a block of 4,096 bytes on, or a name that was made, moved or removed. The event ends as by a forced
    termination, and the next one has a cold start. *file_system* says what counts as synced:

    - ``"posix"``: only what ``fsync`` and its like have synced; for a name, that of its directory.
    - ``"ext4"``: names in their order; any ``fsync`` of a changed file syncs all names; a file that is renamed over
      another one, or truncated, written anew and closed, is synced by that.
    - ``"nfs"``: what was closed, and all names.

    ``how="power"`` is ``"nfs"`` for a function, as files that outlive its machine are on a file system like CFS, and
    ``"posix"`` for a job. For ``how=`` of ``ScfRuntime.sweep``. Raises ``ScfUsageError`` for another file system.
    """
    if file_system not in FILE_SYSTEMS:
        raise ScfUsageError(f"power({file_system!r}) is not valid: it must be {' or '.join(map(repr, FILE_SYSTEMS))}")
    return Interruption("power", file_system=file_system)


def interruptions(how: How | Iterable[How]) -> list[Interruption]:
    """The interruptions that ``how=`` names, each once. Raises ``ScfUsageError`` for anything else."""
    several = [how] if isinstance(how, (str, Interruption)) else how
    valid = f"it takes {', '.join(map(repr, KINDS))}, graceful(...), fault(...) and power(...), one or several"
    if not isinstance(several, Iterable):
        Given("how", how).refuse(valid)
    found: dict[Interruption, None] = {}
    for each in several:
        if isinstance(each, Interruption):
            found[each] = None
        elif each in KINDS:
            found[Interruption(each)] = None
        else:
            Given("how", how).refuse(f"{each!r} is none; {valid}")
    if not found:
        Given("how", how).refuse(valid)
    return list(found)
