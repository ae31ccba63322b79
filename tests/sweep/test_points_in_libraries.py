"""SIGTERMs within libraries: between two effects of one line, where no line of user code begins or ends."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

import pytest
from random_kills import losses
from sweeping import Deploy, each_run

from pytest_scf_async import ScfRuntime

pytestmark = pytest.mark.usefixtures("without_second_stops")

HANDLER = """
    import json, os, signal, sys, time
    from pathlib import Path

    def main_handler(event, context):
        path = Path(os.environ["OUT"], "state.json")
        state = json.loads(path.read_text()) if path.exists() else {"done": []}

        def stop(number, frame):
            SAVE
            sys.exit(0)

        signal.signal(signal.SIGTERM, stop)
        for page in range(len(state["done"]), event["pages"]):
            time.sleep(1)
            state["done"].append(page)
            path.write_text(json.dumps(state))
        path.write_text(json.dumps(state))
        return event["pages"]
"""
IN_PLACE = HANDLER.replace("SAVE", "path.write_text(json.dumps(state, indent=1))")
"""Its listener fills the file that the line has open, whose shorter text comes over the longer one then."""
RENAMED = HANDLER.replace(
    "SAVE", 'new = path.with_name("new"); new.write_text(json.dumps(state)); os.replace(new, path)'
)
PAGES = {"pages": 2}


def in_libraries(sweep: Any) -> list[str]:
    return [point.label for point in sweep.points if point.kind == "library"]


def test_a_sigterm_within_a_library_is_tried_between_two_effects(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(IN_PLACE), PAGES, each_run=each_run)

    assert in_libraries(sweep) == ["after#1", "before#2", "after#3", "before#4", "after#5", "before#6"]
    failed = [run for run in sweep.runs if run.point.kind == "library" and run.differences]
    assert [run.key for run in failed] == ["graceful@before#2", "graceful@before#4", "graceful@before#6"]
    (place,) = {(run.point.file, run.point.line, run.point.text) for run in failed[:2]}
    assert place == ("job.py", 17, "Path.write_text")
    assert re.search(
        r"^NEVER FINISHES: SIGTERM within job.py:17, in Path.write_text$.*"
        r"^  Ended FAILED \(439\) after 1 s; restarted 5 times, failed 5 times \(430\):$.*"
        r"^  An interruption between after#1 and job.py:17\+\d#1 keeps it from finishing; at these two .*"
        r"^  Replay:  .*--scf-async-replay='graceful@before#2'$",
        sweep.report,
        re.DOTALL | re.MULTILINE,
    ), sweep.report


@pytest.mark.once  # what bare processes do does not follow from the version
@pytest.mark.parametrize(("handler", "is_right"), [(IN_PLACE, False), (RENAMED, True)], ids=["in place", "renamed"])
def test_a_bare_process_says_the_same(scf_runtime: ScfRuntime, deployed: Deploy, handler: str, is_right: bool) -> None:
    sweep = scf_runtime.sweep(deployed(handler), PAGES, each_run=each_run, how="graceful")
    lost = losses(
        dedent(handler),
        PAGES,
        [["TERM"]],
        3000 if not is_right else 100,
        exactly_once=False,
        seed="libraries",
        only_first=True,
    )

    assert bool(lost) == (not is_right)
    assert {run.point.kind for run in sweep.runs if run.kinds} == (set() if is_right else {"library"})
    assert in_libraries(sweep)


@pytest.mark.parametrize(
    "work",
    [
        "path.write_text(text)",  # and nobody listens
        "listen(); file = open(path, 'w'); file.write(text); file.close()",
        "listen(); database.execute('INSERT INTO pages VALUES (1)'); database.commit()",
        "listen(); sys.setprofile(lambda *_: None); path.write_text(text)",
        "listen(); thread = threading.Thread(target=path.write_text, args=(text,)); thread.start(); thread.join()",
    ],
    ids=["nobody listens", "lines of its own", "code in C", "a profiler of its own", "another thread"],
)
def test_there_are_no_such_points(scf_runtime: ScfRuntime, deployed: Deploy, work: str) -> None:
    code = f"""
        import os, signal, sqlite3, sys, threading
        from pathlib import Path

        def listen():
            signal.signal(signal.SIGTERM, lambda number, frame: None)

        def main_handler(event, context):
            path, text = Path(os.environ["OUT"], "text"), "text"
            database = sqlite3.connect(Path(os.environ["OUT"], "database"))
            database.execute("CREATE TABLE IF NOT EXISTS pages (number)")
            {work}
            return 1
    """
    sweep = scf_runtime.sweep(deployed(code), {}, each_run=each_run)

    assert in_libraries(sweep) == []
    assert len(sweep.runs) > 5


@pytest.mark.parametrize("more", ["threading.Event().wait()", "open(path, 'a').close()"], ids=["waits", "writes"])
def test_what_does_something_else_where_calls_are_reported_is_not_tried_there(
    scf_runtime: ScfRuntime, deployed: Deploy, more: str
) -> None:
    code = f"""
        import os, signal, sys, threading
        from pathlib import Path

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda number, frame: None)
            path = Path(os.environ["OUT"], "text")
            if sys.getprofile():
                {more}
            path.write_text("text")
            return 1
    """
    sweep = scf_runtime.sweep(deployed(code), {}, each_run=each_run)

    assert in_libraries(sweep) == []
    assert "SIGTERM within libraries (a run whose calls are reported does not do the same)" in sweep.report
