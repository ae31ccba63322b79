"""``python -m pytest_scf_async trace FILE``: what it prints of a trace, and its errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from trace_format import dangling, problems
from trace_internals import OfTest, facts_in, page, trace_facts
from trace_samples import sweep

from pytest_scf_async.command_line import main

# once: texts alone
pytestmark = pytest.mark.once

EVENT: dict[str, Any] = {
    "id": "24fa9f9a-db51-44a9-8c76-74a846de8dea",
    "function": "backup",
    "qualifier": "$LATEST",
    "invoke_type": "OTHERS",
    "status": "FAILED",
    "code": 439,
    "begin": 0,
    "end": 300_000_000,
    "ended_by_harness": False,
    "checked": True,
    "instance": None,
    "retry_num": 0,
    "statuses": [[0, "RUNNING", 0, "accepted"], [300_000_000, "FAILED", 439, "process exited"]],
    "signals": [
        {
            "sent": 300_000_000,
            "disposition": "handler",
            "text": "SIGTERM sent; user code listens",
            "entered": 300_000_000,
            "left": 300_000_000,
            "raised": "ValueError: boom",
            "waits": [[0, 0], [1, 1]],
        }
    ],
    "waits": [
        [0, 300_000_000, 0, 0, 0, 1, 0, None, 0],
        [0, 300_000_000, 1, 1, None, 3, 5_000_000, "lock", 1],
    ],
    "entries": [
        [0, "log", "a line\x1b[31m\u202e \ud800", None, None, 1_500],
        [300_000_000, "status", "FAILED (439): process exited\nsecond line", None, 0, None],
    ],
    "fold": [],
    "why": ["likely cause: no code listened", "what to do: listen"],
    "holders": [["await Lock.acquire at x.py:3 in Task-1", "Task-2 at x.py:9"]],
}
TITLE = "event 24fa9f9a-db51-44a9-8c76-74a846de8dea of backup: FAILED (439), +0 s to +300 s"


def written(directory: Path, **changes: Any) -> str:
    """Write a trace of one event; its path."""
    empty = trace_facts(OfTest("test_x.py::test_it", "failed", "/", "expected this; found that"), [], [])
    lanes = [{"name": name, "kind": "thread", "instance": None, "parent": None} for name in ("main", "worker")]
    tables = {"texts": ["sleep(600)", "Lock.acquire"], "places": [["backup.py", 8, None, "gone"]], "lanes": lanes}
    facts = {**empty, **tables, "events": [EVENT], "real_seconds": 0.012, "zone_minutes": 480, **changes}
    assert [*problems(facts, "Trace"), *dangling(facts)] == []
    path = directory / "trace.html"
    path.write_text(page(facts), encoding="utf-8")
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["trace", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_without_a_word_it_prints_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, written(tmp_path)) == [
        "FAILED test_x.py::test_it",
        "expected this; found that",
        "simulated time from 1970-01-01T08:00:00+08:00 to +300 s, in 0.012 real seconds",
        "",
        TITLE,
        "  +0 s  RUNNING: accepted",
        "  +300 s  FAILED (439): process exited",
        "",
        "likely cause: no code listened",
        "what to do: listen",
    ]


LISTS = {
    "events": [TITLE, "  +0 s  RUNNING: accepted", "  +300 s  FAILED (439): process exited"],
    "signals": [
        TITLE,
        "  +300 s  SIGTERM sent; user code listens",
        "    its handler was entered at +300 s",
        "    its handler was left at +300 s",
        "    its handler raised ValueError: boom",
        "    main was in sleep(600) at backup.py:8",
        "    worker was in Lock.acquire",
    ],
    "waits": [
        TITLE,
        "  +0 s  main: sleep(600) at backup.py:8 for 300 s",
        "  +0 s  worker: Lock.acquire for 300 s, 3 times, the last at +5 s, which only the release of a lock can end",
    ],
    "log": [
        TITLE,
        "  +0 s  log       a line\\x1b[31m\\u202e \\ud800",
        "  +300 s  status    FAILED (439): process exited (backup.py:8)",
        "      second line",
    ],
    "why": [
        TITLE,
        "  likely cause: no code listened",
        "  what to do: listen",
        "  await Lock.acquire at x.py:3 in Task-1 is held by Task-2 at x.py:9",
    ],
}


@pytest.mark.parametrize("word", LISTS)
def test_a_word_prints_one_list(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, written(tmp_path), word) == LISTS[word]


@pytest.mark.parametrize("word", sorted({*LISTS} - {"why"}))
def test_a_sweep_has_no_list_of_events(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {name: sweep()[name] for name in ("sweeps", "places", "files")}
    assert printed(capsys, written(tmp_path, events=[], **changes), word) == [
        "it has no event: a sweep is in the summary, and in why"
    ]


def test_why_of_events_with_which_nothing_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = trace_facts(OfTest("test_x.py::test_it", "passed", "/"), [], [])
    facts["events"] = [{"why": [], "holders": [], **dict.fromkeys(("id", "function", "status"), "x"), "code": 0}]
    facts["events"][0] |= {"begin": 0, "end": None, "ended_by_harness": False}
    path = tmp_path / "trace.html"
    path.write_text(page(facts), encoding="utf-8")
    assert printed(capsys, str(path), "why") == ["nothing is known to be wrong with its events"]


def test_why_names_each_cause_its_repro_and_where_runs_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {name: sweep()[name] for name in ("sweeps", "places", "files")}
    assert printed(capsys, written(tmp_path, events=[], **changes), "why") == [
        "train does not survive being killed: 4 of 34 interruptions fail, for 2 reasons",
        "  NEVER FINISHES: killed while train.py:11 was writing ckpt.json",
        "    Path.write_text empties the file before filling it",
        "    write ckpt.json.new, then os.replace() it",
        "    pytest --scf-async-replay='forced@effect#2'",
        "    sh kept/test_train/repro.sh",
        "  LOST: stopped at train.py:12",
        "    pytest --scf-async-replay='graceful@train.py:12#1'",
        "    sweep.failures[1].write_repro(path)",
        "  undisturbed: The first difference: “write 11 bytes” in the first run is “write 12 bytes” in the second.",
    ]


def test_of_many_waits_those_that_are_equal_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        [at * 1_000_000, (at + 1) * 1_000_000, at % 2, at % 2, 0, 1, at * 1_000_000, None, 0] for at in range(10_000)
    ]
    path = written(tmp_path, events=[{**EVENT, "waits": [*rows, [5, 7, 0, 1, None, 1, 5, None, 0]], "signals": []}])
    assert printed(capsys, path, "waits") == [
        TITLE,
        "  main: sleep(600) at backup.py:8, 5,000 times, +0 s to +9998 s, 5000 s in all",
        "  worker: Lock.acquire at backup.py:8, 5,000 times, +1 s to +9999 s, 5000 s in all",
        "  main: Lock.acquire, once at +0.000005 s, 0.000002 s in all",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "cannot be read: it is not text"),
        (b"<html></html>", "is not a trace of pytest-scf-async: --scf-async-trace writes files called trace.html"),
        (
            b'<script type="application/json" id="trace">{"format": "other"}</script>',
            "is not a trace of pytest-scf-async: --scf-async-trace writes files called trace.html",
        ),
        (
            (
                b'<script type="application/json" id="trace">{"format": "pytest-scf-async trace", "version": 7, '
                b'"package": "3.1"}</script>'
            ),
            "is a trace of version 7, written by pytest-scf-async 3.1, and this one reads version 1",
        ),
    ],
)
def test_what_is_no_trace_is_said_in_one_sentence(
    text: bytes | None, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.html"
    if text is not None:
        path.write_bytes(text)
    assert main(["trace", str(path)]) == 1
    assert capsys.readouterr().err == f"python -m pytest_scf_async trace: {path} {why}\n"


def test_another_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["trace", "trace.html", "threads"])
    assert error.value.code == 2
    assert re.search(r"invalid choice: '?threads", capsys.readouterr().err)


def test_a_trace_is_what_it_was(tmp_path: Path) -> None:
    path = Path(written(tmp_path))
    assert facts_in(path.read_text(encoding="utf-8"), path.name)["events"] == [EVENT]
    assert sys.getsizeof(path.read_bytes()) < 100_000
