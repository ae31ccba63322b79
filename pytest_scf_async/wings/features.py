"""What wings add to the features of a runtime's scheduler, in the order in which it asks them."""

from __future__ import annotations

from typing import Final

from ..endpoint.served_answers import ServedAnswers
from ..lockstep.features.feature import Feature
from ..sweep.kept_points import Points

FEATURES_OF_WINGS: Final[tuple[type[Feature], ...]] = (ServedAnswers, Points)
