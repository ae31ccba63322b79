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
from .facts import OfTest, trace_facts
from .page import page

if TYPE_CHECKING:
    from ..wing_hooks import Reported, Traced

PROPERTY: Final = "scf_async_trace"
"""The name of the property of ``--junitxml``, and of the report's attribute."""
FILE: Final = "trace.html"
_CALL_FAILED: Final[pytest.StashKey[OfTest | None]] = pytest.StashKey()
"""What the trace says of the test, if that failed before its teardown."""
MOST_ROWS: Final = 100
"""Tests that the job summary of GitHub names: a summary has one megabyte at most."""


def write_trace(reported: Reported, sweeps: Sequence[Traced]) -> None:
    """Write the trace of a test that has events or *sweeps*, where there is a directory, and refer to it in its report.

    Nothing is raised for a file that cannot be written, or where this code is wrong: the failure of the test matters
    more, and the line that names the trace says why there is none.
    """
    directory, report = reported.directory(), reported.report
    if directory is None:
        return
    path = Path(directory, directory_name(reported.item.nodeid), FILE)
    try:
        facts = trace_facts(_of_test(reported, os.fspath(path.parent)), reported.events, sweeps)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(facts), encoding="utf-8")
    except Exception as problem:  # noqa: BLE001  (a defect in here must not hide the failure of a test)
        why = getattr(problem, "strerror", None) or f"{type(problem).__name__}: {problem}"
        if report.failed:
            _add_line(report, f"--- trace: not written to {path}: {why} ---", reported.others)
        return
    if report.failed:
        _add_line(report, f"--- trace: {path} ---", reported.others)
    _refer(reported.item, report, str(path), str(facts["headline"]))


def _of_test(reported: Reported, directory: str) -> OfTest:
    """What the trace says of the test."""
    item, report, error = reported.item, reported.report, reported.error
    outcome = "error" if report.failed and report.when != "call" else report.outcome
    failure = None if error is None or not report.failed else str(error) or type(error).__name__
    said, root = None if error is None else said_by(error), os.fspath(item.config.rootpath)
    tested = OfTest(item.nodeid, outcome, root, failure, said, reported.real_seconds, directory)
    if report.when == "teardown":  # what failed first is the answer; the rest of its directory was written anew
        return item.stash.get(_CALL_FAILED, None) or tested
    item.stash[_CALL_FAILED] = tested if report.failed else None
    return tested


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
