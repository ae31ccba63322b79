"""Every state of a table that facts can lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def reached(first: Iterable[Any], facts: Iterable[Any], after: Callable[[Any, Any], Any]) -> Iterator[Any]:
    """The states that *facts* lead to from those that come *first*, in whatever order the facts come.

    *after* gives the step of a state and a fact, and raises ``LookupError`` where the fact cannot occur.
    """
    found = dict.fromkeys(first)
    waiting, facts = list(found), list(facts)
    while waiting:
        state = waiting.pop()
        yield state
        for fact in facts:
            try:
                then = after(state, fact).state
            except LookupError:
                continue
            if then not in found:
                found[then] = None
                waiting.append(then)
