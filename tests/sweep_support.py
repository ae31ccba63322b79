"""What tests of sweeps share: a handler that loses something at one point, and a test that sweeps it."""

from __future__ import annotations

import textwrap
from typing import Final

import pytest

LOSES: Final = """
    import os

    def main_handler(event, context):
        mark = os.path.join(os.environ["OUT"], "mark")
        if not os.path.exists(mark):
            open(mark, "w").close()
            open(os.path.join(os.environ["OUT"], "row"), "w").close()
        return "done"
"""
"""An event that is interrupted before line 8 leaves the mark of what it has not done."""
KEEPS: Final = LOSES.replace('"mark")', '"row")', 1)
LOST: Final = "forced@loses.py:8#1"
"""The key of the one run by force that loses something."""
LABELS: Final = [f"loses.py:{line}#1" for line in (2, 4, 5, 6, 7, 8, 9)]
"""The points of a forced termination, in their order."""
MADE: Final = [LABELS[number] for number in (0, 5, 6)]
"""Those at which a run is made: kills that leave the same are resumed from once."""
SWEEPS: Final = """
    def sweep(scf_runtime, **keywords):
        def each_run(run):
            yield {"OUT": str(run.path)}

        function = scf_runtime.deploy("handlers/loses.py:main_handler")
        keywords.setdefault("how", "forced")
        return scf_runtime.sweep(function, each_run=each_run, **keywords)
"""
SURVIVES: Final = """
    from sweeps import sweep

    def test_it(scf_runtime):
        sweep(scf_runtime).assert_survives()
"""
ORDER: Final = """
    made = []

    def pytest_scf_async_sweep_effects(run):
        if run.point is None:
            made.clear()
        elif (run.point, run.how) not in made:
            made.append((run.point, run.how))
            with open("order", "a") as file:
                print(run.point, file=file)
"""
"""A conftest that writes down which runs are made, in their order, and not those that are made again at the end."""


def write_handler(project: pytest.Pytester, source: str) -> None:
    project.path.joinpath("handlers", "loses.py").write_text(textwrap.dedent(source), encoding="utf-8")


def write_sweeps(project: pytest.Pytester, test: str = SURVIVES, conftest: str = ORDER) -> None:
    """Give *project* the handler, and a test that sweeps it."""
    write_handler(project, LOSES)
    project.makepyfile(sweeps=SWEEPS, test_it=test)
    project.makeconftest(conftest)


def order(project: pytest.Pytester) -> list[str]:
    """The points of the runs that were made since the last call."""
    path = project.path / "order"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines
