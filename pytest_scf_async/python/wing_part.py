"""The part that a wing has in its instances: a module that they, and the zygote, are told by its name.

So what only a sweep needs is the sweep's, and its instances alone import it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

from ..protocol import messages
from .patches import c_code

if TYPE_CHECKING:
    from .gates.lines import Collector


class Part(Protocol):
    """What such a module has."""

    def set_gates(self, message: messages.ArmGates) -> None:
        """Set those gates of *message*, and no others, that only the wing knows; with the scheduler's lock."""

    def collector(self, wanted: messages.Collect) -> Collector:
        """Reports the points that are *wanted*, once gates at lines are set."""

    def guard_writes(self, paths: list[str]) -> None:
        """Have user code write below *paths* alone."""


part: Part | None = None
"""That of this instance; None: it is of no wing."""


def import_ahead(module: str) -> Part:
    """Import the *module*, which also the zygote does."""
    with c_code.ours_alone():  # an instance may have been forked ahead, before the zygote did
        return cast("Part", importlib.import_module(module))


def use(module: str) -> None:
    """Have the *module* be the part of this instance."""
    global part
    part = import_ahead(module)
