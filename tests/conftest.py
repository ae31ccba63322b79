"""What all tests of the project share."""

from __future__ import annotations

import gc

import pytest

pytest_plugins = ["pytester"]

REPEATED_EXAMPLES = frozenset(
    {
        "test_export.py::test_an_interrupted_export_keeps_its_checkpoint",
        "test_export.py::test_the_signal_arrives_at_the_very_row",
    }
)
"""Examples that ``make repeat`` runs as well, as ``file.py::test_name``: a user's tests carry no mark of ours."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "repeat: one of the tests that `make repeat` runs 200 times under load")
    config.addinivalue_line("markers", "once: does not depend on Python's version, nor on the sandbox: CI runs it once")


def pytest_collection_finish() -> None:
    """Thousands of tests are not garbage: no collection that a test asks for has to look at them."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    examples = config.rootpath / "examples"
    for item in items:
        name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
        if name in REPEATED_EXAMPLES and item.path.is_relative_to(examples):
            item.add_marker("repeat")
