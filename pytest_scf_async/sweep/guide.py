"""What a sweep is told by whoever runs it, pytest or the command line: what to try first, and when to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import ScfUsageError
from .differences import Kind
from .findings import Swept
from .report import failure_text
from .run import Run


def nothing(*_: object) -> None:
    pass


def _refuse(sentence: str) -> None:
    raise ScfUsageError(sentence)


@dataclass(frozen=True)
class Guide:
    """What a sweep is told."""

    replay: str = ""
    """The key of the one run that is to be made (``SweepRun.key``); empty: all."""
    shard: tuple[int, int] | None = None
    """Which part of how many parts of the runs is to be made, as in (2, 5)."""
    first: tuple[str, ...] = ()
    """The keys of runs that are to be made first, as they have failed the last time."""
    seconds_left: Callable[[], float | None] = lambda: None
    """How many real seconds it has; None: any number."""
    begins: Callable[[str], None] = nothing
    """Called before its runs with a sentence about how many there are and how long they take, where that is long."""
    progress: Callable[[int, int, int], None] = nothing
    """Called with how many runs are made, how many there are, and how many have failed."""
    finished: Callable[[Swept], None] = nothing
    """Called with all that it has found, whether it came to its end or not."""
    effects_of: Callable[[Run], Mapping[str, object]] = lambda _: {}
    """What plugins add to the effects of a run."""
    no_such_run: Callable[[str], None] = _refuse
    """Called with a sentence where no run has the key ``replay``; if it raises nothing, no run is made."""
    asked: Callable[[], None] = nothing
    """Called when the test asks what the sweep has found."""
    failure: Callable[[Swept, frozenset[Kind]], str] = failure_text
    """Why a sweep fails on these kinds, as text; empty where it does not."""
