"""What wings add to the features of a runtime's scheduler, in the order in which it asks them."""

from __future__ import annotations

from typing import Final

from ..coverage.feature import Coverage
from ..debugger.feature import Debugger
from ..endpoint.served_answers import ServedAnswers
from ..lockstep.features.feature import Feature
from ..sweep.kept_points import Points

FIRST_OF_WINGS: Final[tuple[type[Feature], ...]] = (Coverage,)
"""Asked before those of the kernel: coverage is saved before a SIGTERM is measured."""
FEATURES_OF_WINGS: Final[tuple[type[Feature], ...]] = (Debugger, ServedAnswers, Points)
"""Asked behind them."""
