"""Has an instance find the helpers in ``tests/``: test files import this first whose functions instances import.

An instance has the folder of such a file in ``sys.path``, and not those that pytest adds.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
