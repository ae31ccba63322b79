"""The points of a handler, on every Python."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_internals import Guide, facts_of
from sweeping import EXPORT, Deploy, each_run, labels

from pytest_scf_async import Run, ScfRuntime, fault

# -- points ------------------------------------------------------------------------------------------------------------


@pytest.mark.interpreter
@pytest.mark.usefixtures("without_second_stops")
def test_these_are_the_points_of_a_handler(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """\
        import time


        def row(number):
            return number


        def main_handler(event, context):
            rows = []
            for number in range(2):
                rows.append(row(number))
                time.sleep(1)
            return len(rows)
        """
    )
    sweep = scf_runtime.sweep(function, compares_nothing=True)

    assert not sweep.failures
    found = {(point.shown, point.graceful, point.forced) for point in sweep.points}
    assert {
        ("job.py:1#1", True, True),  # the module's first line
        ("job.py:4#1", False, True),
        ("job.py:9#1", True, True),  # the function's first line
        ("job.py:10#1", False, True),
        ("job.py:10+1#1", True, False),  # range has returned
        ("job.py:5#2", True, True),
        ("job.py:11#2", False, True),
        ("wait#2", True, True),  # time.sleep, while it waits
        ("job.py:12+1#2", True, False),  # time.sleep has returned
        ("job.py:13+1#1", True, False),
    } <= found
    assert ("job.py:4+1#1", True, False) not in found
    assert not any(label.startswith(("waited", "log")) for label, _, _ in found)  # user code has called it itself


@pytest.mark.interpreter
@pytest.mark.usefixtures("without_second_stops")
def test_each_run_has_a_key_of_its_own_where_code_objects_share_a_line(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """\
        import time


        class Stopped(Exception):
            limit = int(3)


        def one(number=int(1)): return int(number)


        def main_handler(event, context):
            double = lambda number: int(number) * 2
            time.sleep(1)
            return one(double(int(2)))
        """
    )
    sweep = scf_runtime.sweep(function, compares_nothing=True)

    assert len({run.key for run in sweep.runs}) == len(sweep.runs)
    assert {"job.py:4(Stopped)+1#1", "job.py:8(one)+2#1"} <= set(labels(sweep))


@pytest.mark.usefixtures("without_second_stops")
def test_a_point_before_a_line_has_the_name_by_which_run_to_finds_it(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    sweep = scf_runtime.sweep(function, {"rows": 2}, each_run=each_run, how="forced", include="export.py:3*")

    assert sweep.failures
    lines = [point for point in sweep.points if point.kind == "line"]
    assert len(lines) > 8
    for point in lines[-3:]:
        function.update(environment={"OUT": "/tmp"})
        event = function.invoke_async({"rows": 2})
        event.run_to(point.label)
        assert point.seconds == (scf_runtime.clock.now - event.started_at).total_seconds()
        event.terminate()


@pytest.mark.usefixtures("without_second_stops")
def test_a_library_has_points_at_its_waits_and_lines_of_the_log(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import asyncio, logging
        async def work():
            await asyncio.sleep(2)
            logging.warning("two seconds")
        def main_handler(event, context):
            asyncio.run(work())
        """
    )
    all_points = scf_runtime.sweep(function, compares_nothing=True)
    waits = scf_runtime.sweep(function, points="waits", compares_nothing=True)
    log = scf_runtime.sweep(function, points="log", compares_nothing=True)

    assert not any(sweep.failures for sweep in (all_points, waits, log))
    assert {"waited#1", "log#1"} <= set(labels(all_points))
    assert {label.partition("#")[0] for label in labels(waits)} == {"wait", "waited"}
    assert [(point.label, point.text) for point in log.points][-1] == ("log#2", "two seconds")
    assert [point.kind for point in log.points] == ["log", "log"]


@pytest.mark.usefixtures("without_second_stops")
def test_include_exclude_and_limit_choose_the_points(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import time
        def main_handler(event, context):
            for number in range(50):
                time.sleep(1)
            return number if time.time() else None  # else states that differ in their times alone would be one
        """
    )
    made: list[str] = []

    def counted(run: Run) -> Iterator[None]:
        made.extend([] if run.point is None else [run.point])
        yield

    few = scf_runtime.sweep(function, each_run=counted, how="forced", limit=12, compares_nothing=True)
    one = scf_runtime.sweep(function, how="forced", include="job.py:5", exclude=["job.py:5#2?"], compares_nothing=True)

    assert not few.failures
    assert not one.failures
    assert len(made) == 12, "a kill is resumed once for all points at which it leaves the same"
    assert {"job.py:4#1", "wait#1", "job.py:5#2", "job.py:4#2"} <= {point.label for point in few.points}
    turns = [point.label for point in few.points if point.line == 5 and point.kind == "line"]
    assert {"job.py:5#1", "job.py:5#2", "job.py:5#50"} <= set(turns)
    assert f"Not tried: {facts_of(few).reached - len(few.points)} points beyond limit=." in few.report
    assert {point.line for point in one.points} == {5}
    assert "job.py:5#19" in labels(one)
    assert "job.py:5#21" not in labels(one)


def test_an_interruption_that_has_no_point_is_named(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed("def main_handler(event, context): return 1")
    how = ["forced", fault("reset")]
    sweep = scf_runtime.sweep(function, how=how, compares_nothing=True)
    sweep.assert_survives()
    assert "\n  Not tried: fault,reset (the handler reached no point for it).\n" in sweep.report


def test_a_long_sweep_says_how_long_it_takes_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pytest_scf_async.sweep.sweep._LONG", 0.0)
    path = tmp_path / "job.py"
    path.write_text("import time\ndef main_handler(event, context):\n    time.sleep(1)\n    time.sleep(1)")
    with ScfRuntime(sweep_guide=lambda: Guide(begins=said.append)) as runtime:
        sweep = runtime.sweep(runtime.deploy(f"{path}:main_handler"), compares_nothing=True, points="waits")
        sweep.assert_survives()
    what = "0 runs and 3 resumes after kills"
    fewer = "points='waits' or limit= make fewer, workers= makes several at once"
    assert re.fullmatch(rf"sweep: {what} take about \d+ real s, \d+\.\d s each: {fewer}", said[0])
    assert re.search(rf"\nnote: {what} took \d+ real s: {fewer}\n", sweep.report)


def test_points_of_a_second_termination_leave_no_line_out(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    """A handler that goes on after SIGTERM comes to all of its lines again after each of the first stops."""
    function = deployed(
        """
        import os, signal
        stop = False
        def on_sigterm(*_):
            global stop
            stop = True
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            for number in range(3):
                path = f"{os.environ['OUT']}/{number}"
                with open(path, "w") as file:
                    file.write("x")
                os.replace(path, f"{path}.txt")
                if stop:
                    return "stopped"
            return "done"
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, limit=36)  # three of them are kept for cold starts

    assert f"Tried: {len(sweep.points)} of {facts_of(sweep).reached:,} points" in sweep.report
    assert len(sweep.points) < facts_of(sweep).reached
    assert {point.line for point in sweep.points if point.after is None} == {2, 3, 4, *range(7, 15), 16}
    assert 6 in {point.line for point in sweep.points if point.after is not None}


def test_two_sweeps_have_the_same_points_and_outcomes_in_the_same_order(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    one, other = (scf_runtime.sweep(function, {"rows": 1}, each_run=each_run) for _ in range(2))

    assert labels(one) == labels(other)
    assert [(run.key, run.alike) for run in one.runs] == [(run.key, run.alike) for run in other.runs]
    assert [run.outcome.attempts for run in one.runs] == [run.outcome.attempts for run in other.runs]


@pytest.mark.interpreter
@pytest.mark.usefixtures("without_second_stops")
def test_an_exception_of_a_listener_arrives_at_the_line_of_the_call_that_has_returned(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """\
        import os, signal, traceback
        class Stop(Exception): pass
        def on_sigterm(*_):
            raise Stop
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            try:
                value = max(1, 2)
                value = 3
            except Stop as error:
                return [entry.lineno for entry in traceback.extract_tb(error.__traceback__)]
            return value
        """
    )
    sweep = scf_runtime.sweep(function, how="graceful", include=["job.py:8*"], done=bool, compares_nothing=True)

    assert [(run.point.label, run.outcome.effects.result) for run in sweep.runs] == [("job.py:8+1#1", [8, 4])]


AT_ENTRY = """\
import signal, traceback
class Stop(Exception): pass
def on_sigterm(*_):
    raise Stop
def work():
    \"\"\"It does nothing.\"\"\"
    done = 1
    return done
def trace_of(error):
    return [(entry.name, entry.lineno) for entry in traceback.extract_tb(error.__traceback__)]
def main_handler(event, context):
    signal.signal(signal.SIGTERM, on_sigterm)
    try:
        value = work()
    except Stop as error:
        return trace_of(error)
    return value
"""
BY_ALARM = """
seen = []
signal.signal(signal.SIGALRM, on_sigterm)
while len(seen) < 20:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0001)
        while True:
            work()
    except Stop as error:
        seen += [entry for entry in trace_of(error) if entry[0] == "work"]
print(sorted(set(seen)))
"""


@pytest.mark.interpreter
def test_an_exception_that_comes_as_a_function_begins_is_at_its_def_as_in_this_python(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    real = subprocess.run(
        [sys.executable, "-c", AT_ENTRY + BY_ALARM], capture_output=True, text=True, timeout=60, check=True
    )
    sweep = scf_runtime.sweep(
        deployed(AT_ENTRY), how="graceful", include=["job.py:7*", "job.py:4*"], done=bool, compares_nothing=True
    )

    first, *seconds = (run.outcome.effects.result for run in sweep.runs)
    assert (first, real.stdout) == ([["main_handler", 14], ["work", 5], ["on_sigterm", 4]], "[('work', 5)]\n")
    assert [*first[:2], ["on_sigterm", 3], ["on_sigterm", 4]] in seconds
