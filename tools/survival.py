"""Sweeps the rows of examples/survival/, and writes docs/survival.md: which ways to keep state survive what.

Run: python tools/survival.py (`make survival`). `--rows sqlite3` runs those whose names begin so and prints them;
`--kills 30` starts each job as a bare process, kills it at 30 random moments and compares with the page's verdict.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parent.parent
SURVIVAL = TREE / "examples" / "survival"
sys.path.insert(0, str(SURVIVAL))
from rows import Row  # noqa: E402

PAGE = TREE / "docs" / "survival.md"
BEGIN, END = "<!-- [survival] -->", "<!-- [end] -->"
KILLS = ("graceful", "forced")
COLUMNS = {
    "SIGTERM": "graceful",
    "killed": "forced",
    "within a write": "forced",
    "power, posix": "power,posix",
    "power, ext4": "power,ext4",
}
WORDS = {
    "never finishes": "never opens again",
    "lost": "lost",
    "diverged": "other data",
    "late": "late",
    "doubled": "doubled",
}
"""What the page says of each kind of finding, the worst first."""
WELL = "all well"
NONE = "—"
"""Where nothing could be tried: no write is longer than a page."""


def rows() -> list[Row]:
    """All rows, in the order of the page."""
    found: list[Row] = []
    for name in ("rows_of_python", "rows_of_programs", "rows_of_libraries"):
        if importlib.util.find_spec(name) is not None:
            found += importlib.import_module(name).ROWS
    return found


def lacks(row: Row) -> str:
    """What is not installed of that which *row* needs; empty: nothing."""
    for need in row.needs:
        distribution, _, version = need.partition("==")
        if version:
            try:
                has = importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                return need
            if has != version:
                return f"{need} ({has} is installed)"
        elif shutil.which(need) is None and not _is_module(need):
            return need
    return ""


def _is_module(name: str) -> bool:
    try:
        return bool(importlib.import_module(name))
    except ImportError:
        return False


@dataclass
class Result:
    """What the sweeps of a row have found."""

    name: str
    tried: dict[str, int] = field(default_factory=dict)
    """By column, how many interruptions there were, ..."""
    failed: dict[str, int] = field(default_factory=dict)
    """... after how many of them something is wrong, ..."""
    verdicts: dict[str, str] = field(default_factory=dict)
    """... and the worst of that, in the words of the page."""
    first: str = ""
    """The first bad line, or function of a library, ..."""
    key: str = ""
    """... and the key of the run, for ``--replay``."""
    error: str = ""
    """Why it could not be swept."""


@contextmanager
def job_of(row: Row) -> Iterator[tuple[Any, Any]]:
    """A runtime, and the job of *row* in it; the working directory is the job's meanwhile."""
    from pytest_scf_async import ScfRuntime, ScfSettings  # noqa: PLC0415  what else this does starts quickly

    before, there = Path.cwd(), SURVIVAL / row.directory
    os.chdir(there)
    try:
        with ScfRuntime(ScfSettings(preload=row.preload), seed="survival", lookup=[there], root=there) as runtime:
            is_python = row.command[0] == "python" and not row.traced
            yield runtime, runtime.deploy_image(list(row.command), port=-1, in_process=is_python)
    finally:
        os.chdir(before)


def swept(row: Row, how: Sequence[str], repros: Path | None = None) -> Result:
    """Sweep *row* with each of *how*; a repro of each class of findings goes into a directory below *repros*."""
    from pytest_scf_async.errors import ScfAsyncError  # noqa: PLC0415

    result = Result(row.name)

    def each_run(_run: object) -> Iterator[Mapping[str, str]]:
        yield dict(row.environment)

    try:
        with job_of(row) as (runtime, job):
            for way in how:  # one sweep each: a state that a kill leaves, too, would not be tried as one without power
                sweep = runtime.sweep(job, each_run=each_run, how=_way(way), ignore=list(row.ignore) or None)
                runs = [run for run in sweep.runs if run.how.partition(">")[0] == way]
                for column in (column for column, name in COLUMNS.items() if name == way):
                    cut = column == "within a write"
                    _judge(result, column, [run for run in runs if not cut or "+" in run.point.shown])
                _name_the_first(result, way, sweep.failures)
                for number, found in enumerate(sweep.failures if repros else (), 1):
                    found.write_repro(repros / f"{row.name}-{way}-{number}")
    except ScfAsyncError as error:
        result.error = str(error)
    return result


def _way(name: str) -> Any:
    from pytest_scf_async import power  # noqa: PLC0415

    kind, _, file_system = name.partition(",")
    return power(file_system) if kind == "power" else kind


def _judge(result: Result, column: str, runs: Sequence[Any]) -> None:
    wrong = [{kind.value for kind in run.kinds} & WORDS.keys() for run in runs]
    result.tried[column] = len(runs)
    result.failed[column] = sum(map(bool, wrong))
    worst = next((text for kind, text in WORDS.items() if any(kind in kinds for kinds in wrong)), WELL)
    result.verdicts[column] = worst if runs else NONE


def _name_the_first(result: Result, way: str, failures: Sequence[Any]) -> None:
    """A kill says most: its line stays, whatever SIGTERM and power failures find."""
    if not failures or (result.key and way != "forced"):
        return
    earliest = failures[0].earliest
    point = earliest.point
    result.key = earliest.key
    line = f"`{point.file}:{point.line}`" if point.line else ""
    function = f"`{point.function}`" if point.function else ""
    result.first = point.missing or ", ".join(filter(None, (function, line))) or point.text or point.shown
