"""The kinds of runtimes that wings add to functions in Python, in the order in which they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..instances.runtimes.choice import Kind


def _programs() -> Sequence[Kind]:
    """They are imported when something else than a plain function in Python is deployed."""
    from ..programs.runtimes.kinds import KINDS  # noqa: PLC0415

    return KINDS


OTHER_KINDS: Final[tuple[Callable[[], Sequence[Kind]], ...]] = (_programs,)
