"""When ``--scf-async-trace`` writes the trace of a test, where, and what refers to it.

A trace lies in the directory that has the rest of its test: below ``--scf-async-artifacts``, or pytest's base temp.
The process that has run the test writes it, so a worker of pytest-xdist, too. What refers to it goes with the test's
report: the last line of the failure, a property of ``--junitxml``, a link of pytest-html, and a row of GitHub's job
summary.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from ..report.limits import said_by
from ..report.test_directory import directory_name
from .facts import Facts, OfTest, trace_facts
from .page import page

if TYPE_CHECKING:
    from ..async_event import AsyncEvent
    from ..wing_hooks import Reported, Traced

PROPERTY: Final = "scf_async_trace"
"""The name of the property of ``--junitxml``, and of the report's attribute."""
FILE: Final = "trace.html"
_CALL_FAILED: Final[pytest.StashKey[OfTest | None]] = pytest.StashKey()
"""What the trace says of the test, if that failed before its teardown."""
MOST_ROWS: Final = 100
"""Tests that the job summary of GitHub names: a summary has one megabyte at most."""


def write_trace(reported: Reported, sweeps: Sequence[Traced]) -> None:
    """Write the trace of a test that has events or *sweeps*, where there is a directory for it."""
    directory, error = reported.directory(), reported.call.excinfo
    if directory is not None:
        add_trace(
            reported.item,
            reported.report,
            None if error is None else error.value,
            (reported.events, sweeps),
            directory=directory,
            real_seconds=reported.real_seconds,
            others=reported.others,
        )


def add_trace(
    item: pytest.Item,
    report: pytest.TestReport,
    error: BaseException | None,
    found: tuple[Sequence[AsyncEvent], Sequence[Traced]],
    *,
    directory: str,
    real_seconds: float | None,
    others: int,
) -> None:
    """Write the trace of a test below *directory*, and have its *report* refer to it.

    *error* is what its phase has raised. Nothing is raised for a file that cannot be written, or where this code is
    wrong: the failure of the test matters more, and the line that names the trace says why there is none.
    """
    path = Path(directory, directory_name(item.nodeid), FILE)
    try:
        facts = _facts_of(item, report, error, found, real_seconds=real_seconds, directory=os.fspath(path.parent))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(facts), encoding="utf-8")
    except Exception as problem:  # noqa: BLE001  (a defect in here must not hide the failure of a test)
        why = getattr(problem, "strerror", None) or f"{type(problem).__name__}: {problem}"
        if report.failed:
            _add_line(report, f"--- trace: not written to {path}: {why} ---", others)
        return
    if report.failed:
        _add_line(report, f"--- trace: {path} ---", others)
    _refer(item, report, str(path), str(facts["headline"]))


def _facts_of(
    item: pytest.Item,
    report: pytest.TestReport,
    error: BaseException | None,
    found: tuple[Sequence[AsyncEvent], Sequence[Traced]],
    *,
    real_seconds: float | None,
    directory: str,
) -> Facts:
    events, sweeps = found
    outcome = "error" if report.failed and report.when != "call" else report.outcome
    failure = None if error is None or not report.failed else str(error) or type(error).__name__
    said = None if error is None else said_by(error)
    tested = OfTest(item.nodeid, outcome, os.fspath(item.config.rootpath), failure, said, real_seconds, directory)
    if report.when == "teardown":  # what failed first is the answer; the rest of its directory was written anew
        tested = item.stash.get(_CALL_FAILED, None) or tested
    else:
        item.stash[_CALL_FAILED] = tested if report.failed else None
    return trace_facts(tested, events, sweeps)


def _add_line(report: pytest.TestReport, line: str, others: int) -> None:
    """Have *line* be the last one of what the report says of events: *others* of its sections are not about these."""
    title, text = report.sections.pop() if len(report.sections) > others else ("scf async", "")
    report.sections.append((title, f"{text}\n{line}".lstrip("\n")))


def _refer(item: pytest.Item, report: pytest.TestReport, path: str, headline: str) -> None:
    named = (PROPERTY, path)
    for properties in (item.user_properties, report.user_properties):
        if named not in properties:
            properties.append(named)
    report.scf_async_trace = [path, headline]  # type: ignore[attr-defined]  # goes with the report of a worker, too
    if item.config.pluginmanager.hasplugin("html"):
        _link_from_html(item.config, report, path)


def _link_from_html(config: pytest.Config, report: Any, path: str) -> None:
    """Link the trace from the report of pytest-html, which may be read on another machine: by a relative path."""
    from pytest_html import extras

    shown_in = getattr(config.option, "htmlpath", None)
    url = path if shown_in is None else os.path.relpath(path, os.path.dirname(os.path.abspath(shown_in)))
    report.extras = [*getattr(report, "extras", ()), extras.url(url, name="trace")]


# -- GitHub's job summary --------------------------------------------------------------------------------------------


def write_summary(file: str, reports: Iterable[Any], root: str) -> None:
    """Append a table of the tests that failed, of which there are traces, to *file*, GitHub's job summary."""
    rows = [
        f"| `{_cell(report.nodeid)}` | {_cell(headline)} | `{_cell(os.path.relpath(path, root))}` |"
        for report in reports
        if getattr(report, PROPERTY, None) is not None
        for path, headline in [getattr(report, PROPERTY)]
    ]
    if not rows:
        return
    more = [f"\nand {len(rows) - MOST_ROWS:,} more"] if len(rows) > MOST_ROWS else []
    head = ["### Failed tests of SCF functions", "", "| test | what is wrong | trace |", "|---|---|---|"]
    try:
        with open(file, "a", encoding="utf-8", errors="backslashreplace") as summary:
            summary.write("\n".join([*head, *rows[:MOST_ROWS], *more]) + "\n")
    except OSError:
        pass  # it is only a summary


def _cell(text: str) -> str:
    """*text* in a cell of a table in Markdown: it is hostile, as lines of a user's log may be in it."""
    plain = " ".join(text.split()).replace("`", "'")
    for sign, shown in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        plain = plain.replace(sign, shown)
    return plain[:500]
