"""What all tests of the project share."""

from __future__ import annotations

import pytest

REPEATED_EXAMPLES: frozenset[str] = frozenset()
"""Examples that ``make repeat`` runs as well, as ``file.py::test_name``: a user's tests carry no mark of ours."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "repeat: one of the tests that `make repeat` runs 200 times under load")


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name = getattr(item, "originalname", item.name)
        if item.path.parent.name == "examples" and f"{item.path.name}::{name}" in REPEATED_EXAMPLES:
            item.add_marker("repeat")
