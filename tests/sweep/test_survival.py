"""docs/survival.md has what sweeps of examples/survival/ find, and bare processes that are killed agree with it.

CI sweeps the rows that are marked so, by kills alone. `make survival` sweeps all of them in all ways.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "survival.py"
spec = importlib.util.spec_from_file_location("survival", TOOL)
assert spec is not None
assert spec.loader is not None
survival: Any = importlib.util.module_from_spec(spec)
sys.modules["survival"] = survival
spec.loader.exec_module(survival)
PAGE = survival.PAGE.read_text(encoding="utf-8")
ROWS = {row.name: row for row in survival.rows()}
IN_CI = [row for row in ROWS.values() if row.in_ci]
TIMES = int(os.environ.get("SCF_SURVIVAL", "0"))
"""How often each job is killed as a bare process, in the long run."""
KILLED_IN_CI = ("rename", "append-cut", "csv-replace", "zipfile-replace", "sqlite3-wal-full")
pytestmark = pytest.mark.once  # the page says which Python has made it

IN_PIECES = """
import sys
from pathlib import Path

state = Path(sys.argv[1], "state")
done = int(state.read_text()) if state.exists() else 0
if not done:
    state.write_text("")
    sum(range(20_000_000))
    state.write_text("1")
"""

WITH_A_CHILD = """
import signal, subprocess, sys
from pathlib import Path

child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
Path(sys.argv[1], "new").write_text(str(child.pid))
Path(sys.argv[1], "new").replace(Path(sys.argv[1], "child"))
signal.pause()
"""


def without(page: str, *beginnings: str) -> list[str]:
    return [line for line in page.splitlines() if line and not line.startswith(beginnings)]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("row", IN_CI, ids=[row.name for row in IN_CI])
def test_the_page_says_what_kills_find(row: Any) -> None:
    assert not survival.lacks(row)
    result = survival.swept(row, survival.KILLS)

    assert result.error == ""
    assert survival.disagreements(PAGE, row, result) == []


def test_ci_sweeps_twenty_rows() -> None:
    assert len(IN_CI) >= 20


def test_a_page_that_says_something_else_is_noticed() -> None:
    row = ROWS["open-in-place"]
    said = survival.words_on(PAGE, row)
    result = survival.Result(row.name, verdicts={"killed": said["killed"], "SIGTERM": said["SIGTERM"]})
    assert survival.disagreements(PAGE, row, result) == []

    result.verdicts["killed"] = survival.WELL
    wrong = "open-in-place, killed: the page says 'never opens again', and it is 'all well' (make survival)"
    assert survival.disagreements(PAGE, row, result) == [wrong]
    result = survival.Result("of-nothing", verdicts={"killed": survival.WELL})
    (missing,) = survival.disagreements(PAGE.replace(row.title, "else"), row, result)
    assert "the page says 'nothing'" in missing


def test_every_row_is_on_the_page_and_on_it_once() -> None:
    titles = [row.title for row in ROWS.values()]
    assert len({*titles}) == len(titles) == len(survival.rows())
    demanded = [row.title for row in survival.on_page()]
    assert len(demanded) >= 70
    for lines in survival.lines_on(PAGE):
        assert [*lines] == demanded


def test_a_row_that_waits_or_is_not_proven_is_not_on_the_page() -> None:
    waiting = [row for row in ROWS.values() if row.waits or row.unproven]
    assert waiting
    assert not [row.name for row in waiting if f"| {row.title} |" in PAGE]


@pytest.mark.parametrize("row", ROWS.values(), ids=[*ROWS])
def test_a_job_is_short_and_a_row_says_what_its_documentation_says(row: Any) -> None:
    names = [word for word in row.command if word.startswith("job.")] or ["main.go"]
    assert len((survival.SURVIVAL / row.directory / names[0]).read_text(encoding="utf-8").splitlines()) <= 30
    assert row.promise
    assert row.page.startswith("https://")
    assert bool(row.ignore) == bool(row.why_ignored)
    words = survival.words_on(PAGE, row).values()
    assert row.waits or {*words} <= {survival.WELL, survival.NONE} or row.survives_by


def test_a_row_is_run_again_and_nothing_else_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The long run sweeps it; the short one takes what would be found for granted."""
    row, page = ROWS["open-in-place"], tmp_path / "page.md"
    before = PAGE.replace("never opens again", "all well")
    page.write_text(before, encoding="utf-8")
    if not TIMES:
        found = survival.Result(
            row.name, verdicts=dict.fromkeys([*survival.COLUMNS, survival.TWICE], "never opens again")
        )
        monkeypatch.setattr(survival, "_swept_alone", lambda *_: found)
    monkeypatch.setattr(sys, "argv", ["survival.py", "--rows", row.name, "--page", str(page)])

    assert survival.main() == 0
    assert [*tmp_path.iterdir()] == [page]
    assert capsys.readouterr().out.startswith(f"| {row.title} | never opens again |")
    text = page.read_text(encoding="utf-8")
    assert survival.words_on(text, row)["killed"] == "never opens again"
    assert without(text, f"| {row.title} |", "Made with") == without(before, f"| {row.title} |", "Made with")
    assert survival.versions().startswith("Made with Python 3.")
    assert survival.versions(text) in text


def test_what_is_not_installed_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [survival.Row("a", "a", "a", ("a",), "", "", needs=("of-no-index==1",)), *survival.rows()]
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(survival, "rows", lambda: rows)
    monkeypatch.setattr(sys, "argv", ["survival.py", "--rows", "a", "--page", str(page)])
    monkeypatch.setattr(survival, "_swept_alone", lambda row, _: survival.Result(row.name, error="it is not swept"))

    assert survival.main() == 1
    printed = capsys.readouterr().out
    assert printed.startswith("left out: a, for want of of-no-index==1")
    assert "append: it is not swept" in printed
    assert without(page.read_text(encoding="utf-8"), "Made with") == without(PAGE, "Made with")


@pytest.mark.parametrize("name", KILLED_IN_CI)
def test_a_bare_process_survives_kills_as_the_page_says(name: str) -> None:
    assert survival.words_on(PAGE, ROWS[name])["killed"] == survival.WELL
    assert survival.killed_bare(ROWS[name], TIMES or 5) == 0


def test_kills_of_a_bare_process_find_what_is_lost(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(IN_PIECES, encoding="utf-8")
    row = survival.Row("in-pieces", "in pieces", str(tmp_path), ("python", "job.py", "{path}"), "", "")

    assert survival.killed_bare(row, 5) > 0


def test_what_a_bare_process_has_started_is_killed_with_it(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(WITH_A_CHILD, encoding="utf-8")
    process = survival._started(survival.Row("a", "a", str(tmp_path), ("python", "job.py", "{path}"), "", ""), tmp_path)
    while not (tmp_path / "child").exists():
        assert process.poll() is None
    child = os.pidfd_open(int((tmp_path / "child").read_text()))
    try:
        assert select.select([child], [], [], 0)[0] == []
        survival._kill(process)
        assert select.select([child], [], [], 30)[0] == [child]
    finally:
        os.close(child)


def test_what_is_lost_has_a_repro_without_this_project(tmp_path: Path) -> None:
    wanted = [row for row in survival.on_page() if not survival.lacks(row)] if TIMES else [ROWS["open-in-place"]]
    for row in wanted:
        result = survival.swept(row, ("forced",), tmp_path)
        assert result.error == ""
        scripts = [*tmp_path.glob(f"{row.name}-forced-*/repro.sh")]
        assert bool(scripts) == bool(result.failed["killed"]), row.name
        for script in scripts:
            environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            for words, code in ([], 1), (["undisturbed"], 0):
                done = subprocess.run(["sh", script, *words], capture_output=True, env=environment, check=False)
                assert done.returncode == code, (row.name, words, done.stdout)


def test_where_there_is_no_repro_the_verdict_stands_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row, page = ROWS["open-in-place"], tmp_path / "page.md"
    (tmp_path / f"{row.name}-forced-1").mkdir()
    page.write_text(PAGE, encoding="utf-8")
    result = survival.swept(row, ("forced",), tmp_path)

    assert (result.error, result.verdicts["killed"]) == ("", "never opens again")
    assert "open-in-place-forced-1 already exists" in result.without_repro[0]
    monkeypatch.setattr(survival, "_swept_alone", lambda *_: result)
    monkeypatch.setattr(sys, "argv", ["survival.py", "--rows", row.name, "--page", str(page)])
    assert survival.main() == 0
    assert f"\n{row.name}: {result.without_repro[0]}\n" in capsys.readouterr().out


def test_the_page_says_how_many_points_are_left_out() -> None:
    row = ROWS["open-in-place"]
    tried = {"killed": 30, "within a write": 7, "power, posix": 10}

    assert " | 40 | " in survival.line_of(row, survival.Result(row.name, tried=tried))
    line = survival.line_of(row, survival.Result(row.name, tried=tried, left_out=1000))
    assert " | 40, and not at 1,000 points | " in line
    a_part, whole = (survival.swept(each, ("forced",)) for each in (dataclasses.replace(row, limit=2), row))
    assert a_part.left_out > 0 == whole.left_out
    assert a_part.tried["killed"] < whole.tried["killed"]
