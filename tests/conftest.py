"""What all tests of the project share."""

from __future__ import annotations

import gc
from collections import defaultdict
from pathlib import Path

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
ON_THE_OLDEST: dict[str, str] = {
    "examples": "what users write, on the newest Python of the platform itself",
    "tests/unit": "calls most modules: what the standard library of an old Python lacks, or writes in another way",
    "tests/process/test_ends_of_code.py": "the texts of exceptions, exits and failed imports are Python's",
    "tests/process/test_endpoint.py": "its HTTP server, TLS and JSON are those of that Python",
    "tests/process/test_serve.py": "a file in TOML is read with tomli: tomllib came with Python 3.11",
    "tests/plugin/test_catalogue_cannot_end.py": "reports name waits and places in code, which tracebacks give",
    "tests/plugin/test_catalogue_mistakes.py": "reports quote Python's exceptions and tracebacks",
    "tests/plugin/test_catalogue_results.py": "reports quote Python's exceptions, and values as Python prints them",
    "tests/plugin/test_catalogue_signals.py": "reports name waits and places in code, which tracebacks give",
}
"""What the oldest Python runs besides the tests marked `interpreter`: files, and folders of them, with the reason."""
MARKS = {
    "repeat": "one of the tests that `make repeat` runs 200 times under load",
    "interpreter": "its outcome can depend on Python's version or build: CI runs it on every Python",
    "sandbox": "its outcome can depend on mount namespaces or on who runs it: CI runs it without them, and as nobody",
    "leases": "its outcome can depend on leases or on the clocks of an instance: CI runs it without them, too",
    "oldest": "one of those that ON_THE_OLDEST lists, which alone gives this mark",
    "once": "its outcome cannot depend on Python: CI runs it on this machine's own, not on the newest",
}
"""Which legs of CI run a test: one without a mark runs on the newest Python."""

MarksOfItems = dict[tuple[str, str], set[frozenset[str]]]
"""The marks of each case that was collected, by its file and by the name of its test, or class of tests."""
MARKS_OF_ITEMS = pytest.StashKey[MarksOfItems]()


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
    oldest = [config.rootpath / name for name in ON_THE_OLDEST]
    by_path = defaultdict[Path, list[pytest.Item]](list)
    for item in items:
        by_path[item.path].append(item)
    for path, of_file in by_path.items():
        given = ["oldest"] if any(path.is_relative_to(listed) for listed in oldest) else []
        if str(path).startswith(examples) and path.name not in SAME_IN_ALL_SANDBOXES:
            given.append("sandbox")
        for item in of_file:
            for mark in given:
                item.add_marker(mark)
            if f"{path.name}::{getattr(item, 'originalname', item.name)}" in REPEATED_EXAMPLES:
                item.add_marker("repeat")
    found = defaultdict[tuple[str, str], set[frozenset[str]]](set)
    for item in items:
        path, _, name = item.nodeid.partition("::")
        found[path, name.partition("::")[0].partition("[")[0]].add(frozenset(mark.name for mark in item.iter_markers()))
    config.stash[MARKS_OF_ITEMS] = found


@pytest.fixture(scope="session")
def marks_of_items(pytestconfig: pytest.Config) -> MarksOfItems:
    """The marks of all that was collected: what -m has left out, too."""
    return pytestconfig.stash[MARKS_OF_ITEMS]
