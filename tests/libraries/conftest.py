"""What compares a sweep with programs on full disks is among the tests of the sweep."""

from __future__ import annotations

import sys
from pathlib import Path

_BARE = str(Path(__file__).parents[1] / "sweep" / "bare")
if _BARE not in sys.path:
    sys.path.insert(0, _BARE)
