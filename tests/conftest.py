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
SAME_IN_ALL_SANDBOXES = frozenset(
    {"test_all_waits.py", "test_endpoint_go.py", "test_endpoint_jest.py", "test_image_container.py"}
)
"""Files of examples that do not depend on the sandbox; the others are marked `sandbox`."""
MARKS = {
    "repeat": "one of the tests that `make repeat` runs 200 times under load",
    "interpreter": "its outcome can depend on Python's version or build: CI runs it on every Python",
    "sandbox": "its outcome can depend on mount namespaces or on who runs it: CI runs it without them, and as nobody",
    "leases": "its outcome can depend on leases or on the clocks of an instance: CI runs it without them, too",
    "once": "its outcome cannot depend on Python: CI runs it on one Python, not on the oldest and the newest",
}
"""Which legs of CI run a test: one without a mark runs on the oldest and on the newest Python."""


def pytest_configure(config: pytest.Config) -> None:
    for mark, text in MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {text}")


def pytest_collection_finish() -> None:
    """Freeze the objects of collection: a test that collects garbage does not visit thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    examples = f"{config.rootpath / 'examples'}/"
    for item in items:
        if not str(item.path).startswith(examples):  # quicker than is_relative_to, for thousands of tests
            continue
        name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
        if name in REPEATED_EXAMPLES:
            item.add_marker("repeat")
        if item.path.name not in SAME_IN_ALL_SANDBOXES:
            item.add_marker("sandbox")
