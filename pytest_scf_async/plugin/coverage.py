"""pytest's side of coverage: in whose name instances measure (``--cov-context=test``)."""

from __future__ import annotations

import os

import pytest

from ..instances import coverage

_PHASES = {"(setup)": "setup", "(call)": "run", "(teardown)": "teardown"}


def prepare(config: pytest.Config) -> None:
    """Have instances measure in the same dynamic context as the test does."""
    by_test = config.getoption("cov_context", None) == "test"
    coverage.use_context(_context if by_test else None)


def _context() -> str | None:
    """What pytest-cov calls what is run now."""
    test, _, phase = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")
    return f"{test}|{_PHASES[phase]}" if phase in _PHASES else None
