"""The kinds of runtimes that wings add to functions in Python, in the order in which they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..instances.runtimes.choice import Kind
    from ..programs.runtimes.launcher import CodePackage


def other_kinds() -> Sequence[Kind]:
    """Their rows; they are imported when something else than a plain function in Python is deployed."""
    from ..programs.runtimes.kinds import KINDS  # noqa: PLC0415

    return KINDS


Launcher: TypeAlias = "Callable[[CodePackage], object]"
"""What users add runtimes with."""
