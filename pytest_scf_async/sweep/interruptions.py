"""The ways in which a sweep interrupts a handler: what ``how=`` takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from ..clock import duration_us
from ..errors import Given, ScfUsageError, hidden_from_users

__tracebackhide__ = hidden_from_users

Kind: TypeAlias = Literal["graceful", "forced", "timeout"]
KINDS: tuple[Kind, ...] = ("graceful", "forced", "timeout")


@dataclass(frozen=True)
class Interruption:
    """One way to interrupt an event."""

    kind: Kind
    again_us: int | None = None
    """After so many µs of simulated time a second SIGTERM is sent."""
    forced_us: int | None = None
    """After so many µs of simulated time the event is terminated by force."""

    @property
    def name(self) -> str:
        """What it is called in reports and keys: ``graceful,again=5``."""
        more = [("again", self.again_us), ("forced", self.forced_us)]
        return ",".join([self.kind, *(f"{name}={us / 1e6:g}" for name, us in more if us is not None)])


How: TypeAlias = "str | Interruption"


def graceful(
    *,
    then: Literal["forced"] | None = None,
    after: float | timedelta | None = None,
    again: float | timedelta | None = None,
) -> Interruption:
    """A graceful termination: SIGTERM (document 63969).

    With *again* a second SIGTERM is sent so many simulated seconds later, and with *then* ``"forced"`` the event is
    terminated by force *after* so many simulated seconds; neither where it has ended by then. For ``how=`` of
    ``ScfRuntime.sweep``. Raises ``ScfUsageError`` for other values.
    """
    if then not in (None, "forced"):
        raise ScfUsageError(f"graceful(then={then!r}) is not valid: it is 'forced'")
    if (then is None) != (after is None):
        raise ScfUsageError("graceful(then='forced', after=seconds) takes both or neither of its keywords")
    return Interruption(
        "graceful",
        None if again is None else duration_us(again, "graceful(again)"),
        None if after is None else duration_us(after, "graceful(after)"),
    )


def interruptions(how: How | Iterable[How]) -> list[Interruption]:
    """What ``how=`` names, each once; ``ScfUsageError`` for what is no interruption."""
    several = [how] if isinstance(how, (str, Interruption)) else how
    valid = f"it takes {', '.join(map(repr, KINDS))} and graceful(...), one or several"
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
