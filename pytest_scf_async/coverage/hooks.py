"""Coverage in a session of pytest: in whose name instances measure (``--cov-context=test``), and the end of that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..wing_hooks import WingHooks
from . import measuring

if TYPE_CHECKING:
    import pytest

_PHASES = {"(setup)": "setup", "(call)": "run", "(teardown)": "teardown"}


class CoverageHooks(WingHooks):
    """What coverage does in a session."""

    def before_runtime(self, config: pytest.Config) -> None:
        """Have instances measure in the same dynamic context as the test does."""
        by_test = config.getoption("cov_context", None) == "test"
        measuring.use_context(_context if by_test else None)

    def tests_ran(self) -> None:
        """Add what instances measured to the coverage of this process."""
        measuring.hand_in()


def _context() -> str | None:
    """What pytest-cov calls what is run now."""
    test, _, phase = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")
    return f"{test}|{_PHASES[phase]}" if phase in _PHASES else None
