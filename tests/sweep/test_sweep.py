"""The sweep as its users meet it: points, interruptions, oracles, reports and refusals."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from internals import facts_of, sweep_of_function

from pytest_scf_async import Function, ScfRuntime, ScfUsageError
from pytest_scf_async.sweep.interruptions import graceful

EXPORT = Path(__file__).parent / "handlers" / "export.py"
WINDOW = [number for number, line in enumerate(EXPORT.read_text().splitlines(), 1) if "# here" in line]


def each_run(run: Any) -> Iterator[dict[str, str]]:
    yield {"OUT": str(run.path)}


Deploy = Callable[[str], Function]


@pytest.fixture
def deployed(scf_runtime: ScfRuntime, tmp_path: Path) -> Deploy:
    """Deploys the source of a handler."""

    def deploy(source: str) -> Function:
        path = tmp_path / "code" / "job.py"
        path.parent.mkdir()
        path.write_text(textwrap.dedent(source))
        return scf_runtime.deploy(f"{path}:main_handler")

    return deploy


@pytest.fixture
def without_second_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_of_function, "_FIRST_STOPS", 0)


def labels(sweep: Any) -> list[str]:
    return [point.shown for point in sweep.points]


# -- what it finds -----------------------------------------------------------------------------------------------------


def test_a_lost_row_is_found_at_its_lines_and_reported_with_all_that_is_needed(scf_runtime: ScfRuntime) -> None:
    sweep = scf_runtime.sweep(scf_runtime.deploy(f"{EXPORT}:main_handler"), {"rows": 3}, each_run=each_run)

    lost = [alike for alike in sweep.failures if alike.runs[0].how == "forced"]
    assert len(lost) == 1
    assert {run.point.line for run in lost[0].runs} == set(WINDOW)
    assert [run.key for run in lost[0].runs][:2] == [f"forced@export.py:{line}#1" for line in WINDOW]
    with pytest.raises(AssertionError) as failure:
        sweep.assert_survives()
    text = str(failure.value)
    first, after = WINDOW[0], WINDOW[-1] + 1
    assert re.match(r"sweep of export: \d+ points, \d+ interruptions, \d+ of them went wrong in 2 ways\n", text)
    assert f"lost (forced, 6 interruptions), first at export.py:{first}#1, 0 s after its start" in text
    assert '  lost: line "row 0" of rows.txt' in text
    assert (
        f"it is right at export.py:{first - 1}#1, and fails from there to export.py:{after}#1, where it is right again"
    ) in text
    assert f"--scf-async-replay='forced@export.py:{first}#1'" in text
    assert f'    > {first:4}         with open(os.path.join(out, "rows.txt"), "a") as file:' in text
    assert "run.path had at that time: checkpoint.json (11 bytes)" in text
    assert "stands at export.py" in text
    assert "events: ABORTED (499) after 0 s, a cold one FINISHED after 2 s" in text
    assert re.search(rf"export.py:{first} +\d+ interruptions: lost \d+", text)
    assert len(text.splitlines()) <= 60


def test_a_handler_that_loses_nothing_survives_and_the_report_says_what_was_tried(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """
        import os, signal, time
        signal.signal(signal.SIGTERM, lambda *_: None)
        def main_handler(event, context):
            for number in range(3):
                time.sleep(1)
                with open(f"{os.environ['OUT']}/{number}", "w") as file:
                    file.write("done")
            return "done"
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run)

    sweep.assert_survives()
    sweep.assert_exactly_once()
    assert sweep.failures == []
    assert re.search(r"sweep of job: \d+ points, \d+ interruptions, nothing lost", sweep.report)
    assert re.search(r"tried: (\d+) of \1 points, by graceful, forced", sweep.report), sweep.report


def test_what_is_done_twice_fails_exactly_once_only(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        from pytest_scf_async.inside import record
        def main_handler(event, context):
            record("mail", to="a")
            return len("done")
        """
    )
    sweep = scf_runtime.sweep(function, how="forced")

    sweep.assert_survives()
    with pytest.raises(AssertionError, match=r'doubled: record mail\(to="a"\), 2 times in place of 1'):
        sweep.assert_exactly_once()


def test_a_stop_is_late_only_after_within(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    source = """
        import signal, time
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: None)
            time.sleep(40)
            return 1
        """
    function = deployed(source)

    assert scf_runtime.sweep(function, how="graceful", within=40).failures == []
    late = scf_runtime.sweep(function, how="graceful", within=39)
    with pytest.raises(AssertionError, match=r"late: it stopped 40 s after SIGTERM, and not within 39 s"):
        late.assert_survives()


@pytest.mark.usefixtures("without_second_stops")
def test_an_event_that_waits_for_ever_after_sigterm_never_finishes(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, signal, time
        stop = False
        def on_sigterm(*_):
            global stop
            stop = True
            with open(f"{os.environ['OUT']}/stopped", "w") as file:
                file.write("x")
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            if os.path.exists(f"{os.environ['OUT']}/stopped"):
                raise SystemExit(3)
            time.sleep(1)
            return 1
        """
    )
    sweep = scf_runtime.sweep(
        function,
        how="graceful",
        each_run=each_run,
        done=lambda event: event.ended and (event._event.result_text == "1" and not event.signals),
    )

    assert sweep.failures
    with pytest.raises(
        AssertionError, match=r"never finishes: of 6 events none is FINISHED; the last is FAILED \(439\)"
    ):
        sweep.assert_survives()


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
    sweep = scf_runtime.sweep(function)

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
    all_points = scf_runtime.sweep(function)
    waits = scf_runtime.sweep(function, points="waits")
    log = scf_runtime.sweep(function, points="log")

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
            return number
        """
    )
    few = scf_runtime.sweep(function, how="forced", limit=12)
    one = scf_runtime.sweep(function, how="forced", include="job.py:5", exclude=["job.py:5#2?"])

    assert not few.failures
    assert not one.failures
    assert len(few.points) == 12
    turns = [point.label for point in few.points if point.line == 5 and point.kind == "line"]
    assert {"job.py:5#1", "job.py:5#2", "job.py:5#50"} <= set(turns)
    assert "limit= leaves 142 out" in few.report
    assert {point.line for point in one.points} == {5}
    assert "job.py:5#19" in labels(one)
    assert "job.py:5#21" not in labels(one)


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
    sweep = scf_runtime.sweep(function, each_run=each_run, limit=24)

    assert f"tried: 24 of {facts_of(sweep).reached:,} points" in sweep.report
    assert {point.line for point in sweep.points if point.after is None} == {2, 3, 4, *range(7, 15), 16}
    assert {6, 15} <= {point.line for point in sweep.points if point.after is not None}


def test_two_sweeps_have_the_same_points_and_outcomes_in_the_same_order(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    one, other = (scf_runtime.sweep(function, {"rows": 2}, each_run=each_run) for _ in range(2))

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
    sweep = scf_runtime.sweep(function, how="graceful", include=["job.py:8*"], done=bool)

    assert [(run.point.label, run.outcome.effects.result) for run in sweep.runs] == [("job.py:8+1#1", [8, 4])]


# -- interruptions -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_second_stops")
def test_a_timeout_ends_an_event_with_433_where_it_stands(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler", timeout=600)
    sweep = scf_runtime.sweep(function, {"rows": 2}, each_run=each_run, how="timeout")

    in_handler = [run for run in sweep.runs if run.point.line > 17 and run.point.line != 16]
    assert {(run.outcome.attempts[0].status_code, run.outcome.attempts[0].seconds) for run in in_handler} == {
        (433, 600)
    }
    assert {run.point.line for alike in sweep.failures for run in alike.runs} == set(WINDOW)


@pytest.mark.usefixtures("without_second_stops")
def test_a_stop_can_end_by_force_after_a_while_or_be_asked_for_again(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import signal, time
        from pytest_scf_async.inside import record
        count = 0
        def on_sigterm(*_):
            global count
            count += 1
        def main_handler(event, context):
            global count
            count = 0
            signal.signal(signal.SIGTERM, on_sigterm)
            time.sleep(100)
            return count
        """
    )
    by_force = scf_runtime.sweep(
        function, how=graceful(then="forced", after=10), include="job.py", points="waits", done=bool
    )
    again = scf_runtime.sweep(function, how=graceful(again=5), points="waits", done=bool)

    (ended,) = [run.outcome for run in by_force.runs if run.point.label == "wait#1"]
    assert [(each.status_code, each.seconds) for each in ended.attempts] == [(499, 10)]
    (twice,) = [run.outcome for run in again.runs if run.point.label == "wait#1"]
    assert (twice.effects.result, twice.attempts[0].seconds) == (2, 100)
    assert [run.how for run in again.runs] == ["graceful,again=5"] * 2


def test_the_lines_of_a_handler_of_sigterm_are_points_of_a_second_termination(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """\
        import os, signal, time
        def on_sigterm(*_):
            with open(f"{os.environ['OUT']}/saved", "w") as file:
                file.write("1")
            raise SystemExit
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            time.sleep(5)
            return 1
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, limit=500)

    second = [run for run in sweep.runs if run.point.after is not None]
    assert {run.point.line for run in second} >= {3, 4, 5}
    assert {run.how for run in second} == {"graceful>graceful", "graceful>forced"}


# -- oracles -----------------------------------------------------------------------------------------------------------


def test_check_is_asked_after_the_interruption_and_its_line_is_shown(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    asked = []

    def check(run: Any) -> None:
        asked.append((run.point, run.event.status, (run.path / "rows.txt").exists()))
        assert run.point is None or run.event.status == "FINISHED", "it did not finish"

    sweep = scf_runtime.sweep(function, {"rows": 1}, each_run=each_run, check=check, include="export.py:3*")

    assert asked[0] == (None, "FINISHED", True)
    with pytest.raises(AssertionError, match=r"check failed: test_sweep\.py:\d+: it did not finish"):
        sweep.assert_survives()
    assert "check=, done= and retry= are given the events of a run" in sweep.report


def test_a_check_can_resume_and_one_that_hangs_is_bounded(scf_runtime_factory_like: ScfRuntime) -> None:
    runtime = scf_runtime_factory_like
    function = runtime.deploy(f"{EXPORT}:main_handler")
    results = []

    def check(run: Any) -> None:
        if run.point is None:
            return
        results.append(run.resume().result)
        while True:
            pass

    sweep = runtime.sweep(
        function, {"rows": 1}, each_run=each_run, how="forced", check=check, include=f"export.py:{WINDOW[0]}#1"
    )
    assert results == [{"rows": 1}]
    with pytest.raises(AssertionError, match=r"check= at export.py:\d+#1 has not returned within 2 real seconds"):
        sweep.assert_survives()


@pytest.fixture
def scf_runtime_factory_like(scf_runtime: ScfRuntime) -> Iterator[ScfRuntime]:
    """A runtime whose calls have two real seconds."""
    with ScfRuntime(scf_runtime.settings.replace("the test", real_limit=2.0)) as runtime:
        yield runtime


def test_done_and_retry_replace_the_rule_of_what_comes_next(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        def main_handler(event, context):
            return {"got": event.get("attempt", 0), "n": len("n")}
        """
    )
    payloads = []

    def retry(event: Any) -> dict[str, int]:
        payloads.append(event.status_code)
        return {"attempt": len(payloads)}

    sweep = scf_runtime.sweep(
        function, {}, how="forced", include="job.py:3", retry=retry, done=lambda event: event.status == "FINISHED"
    )
    assert payloads == [499]
    assert [run.outcome.effects.result for run in sweep.runs] == [{"got": 1, "n": 1}]


def test_what_differs_in_each_undisturbed_run_is_ignored_and_named(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, time
        def main_handler(event, context):
            with open(f"{os.environ['OUT']}/log", "w") as file:
                file.write(f"started at {time.time():.3f} as {context['request_id']}\\n")
            return {"id": context["request_id"], "rows": len("rows")}
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run)

    sweep.assert_exactly_once()
    assert "not compared, as it differs from run to run: log: " in sweep.report
    assert "result: ['id']" in sweep.report


def test_ignore_leaves_out_files_and_records(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    sweep = scf_runtime.sweep(function, {"rows": 2}, each_run=each_run, ignore="rows.*")

    assert sweep.failures == []


def test_observed_values_are_compared_as_a_final_state(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")

    def observing(run: Any) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path)}
        run.observe(rows=(run.path / "rows.txt").read_text().split("\n"))

    sweep = scf_runtime.sweep(function, {"rows": 2}, each_run=observing, ignore="rows.txt", how="forced")
    with pytest.raises(AssertionError, match=r"lost: item .*row 0.* of observed rows|lost: .*row 0"):
        sweep.assert_survives()
    assert facts_of(sweep).branched > 0


# -- how runs are made -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("threading.Thread(target=time.sleep, args=(5,)).start(); len('x'); time.sleep(6)", "another thread runs"),
        ("one, other = socket.socketpair(); time.sleep(1); one.close()", "it has socket:"),
        (
            "base = sqlite3.connect(os.environ['OUT'] + '/a.db'); base.execute('create table if not exists t (n)')",
            "the database a.db is open",
        ),
        ("subprocess.run(['true'])", "it has started a process"),
    ],
)
def test_a_point_that_cannot_branch_is_run_to_from_the_beginning(
    scf_runtime: ScfRuntime, deployed: Deploy, line: str, why: str
) -> None:
    function = deployed(
        f"""
        import os, signal, socket, sqlite3, subprocess, threading, time
        signal.signal(signal.SIGTERM, lambda *_: None)
        def main_handler(event, context):
            {line}
            return 1
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run)

    sweep.assert_survives()
    facts = facts_of(sweep)
    assert any(text.startswith(why) for text, _ in facts.not_branched), facts.not_branched
    assert facts.branched > 0
    assert "run from the beginning, as it could not branch" in sweep.report


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_handler_that_is_not_the_same_in_each_run_is_told_first(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path
) -> None:
    function = deployed(
        """
        import os
        def main_handler(event, context):
            for number in range(int.from_bytes(os.urandom(2), "big") % 1000 + 1):
                len("x")
            return 1
        """
    )
    with pytest.raises(
        ScfUsageError, match=r"does not do the same in each run: run 1 reached [\d,]+ points, run 2 [\d,]+"
    ):
        scf_runtime.sweep(function)


def test_an_undisturbed_run_that_fails_is_refused_with_its_reason(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed("def main_handler(event, context):\n    raise ValueError('no rows')\n")

    with pytest.raises(
        ScfUsageError, match=r"undisturbed run of function 'job' ended FAILED \(430\).*ValueError: no rows"
    ):
        scf_runtime.sweep(function)


def test_a_directory_that_all_runs_would_share_is_refused_with_its_path(
    scf_runtime: ScfRuntime, tmp_path: Path, deployed: Deploy
) -> None:
    function = deployed(
        f"""
        def main_handler(event, context):
            with open({str(tmp_path / "shared.txt")!r}, "w") as file:
                file.write("x")
        """
    )
    with pytest.raises(ScfUsageError, match=r"writes to .*shared\.txt, which all runs would share; .* run\.path"):
        scf_runtime.sweep(function)


def test_mounts_are_refused(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler", mounts=[tmp_path])

    with pytest.raises(ScfUsageError, match=rf"has mounts={tmp_path}, which all runs would share"):
        scf_runtime.sweep(function)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"how": "sigkill"}, "how='sigkill' is not valid: 'sigkill' is none; it takes 'graceful', 'forced', 'timeout'"),
        ({"how": ()}, "how=() is not valid"),
        ({"points": "calls"}, "points='calls' is not valid: it is 'lines' or 'waits' or 'log'"),
        ({"limit": 0}, "limit=0 is not valid: it is a whole number of points, 1 or more"),
        ({"attempts": 0}, "attempts=0 is not valid: it is a whole number of invocations, 1 or more"),
        ({"include": 3}, "include=3 is not valid: it is a pattern of files"),
        ({"within": -1}, "within"),
        ({"each_run": lambda _: {}}, "each_run returned dict: it is a function with a yield"),
        ({"hows": "graceful"}, "has no keyword 'hows'; did you mean 'how'?"),
    ],
)
def test_what_is_not_valid_is_refused(scf_runtime: ScfRuntime, given: dict[str, Any], text: str) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    with pytest.raises(ScfUsageError) as refusal:
        scf_runtime.sweep(function, {"rows": 1}, **given)
    assert text in str(refusal.value)


def test_a_sweep_that_interrupts_nothing_fails(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    sweep = scf_runtime.sweep(function, {"rows": 1}, each_run=each_run, include="other.py")

    with pytest.raises(AssertionError, match="interrupted nothing"):
        sweep.assert_survives()


def test_its_events_are_none_of_the_test(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    before = scf_runtime.clock.now
    sweep = scf_runtime.sweep(function, {"rows": 1}, each_run=each_run)

    assert sweep.runs
    assert scf_runtime.events == []
    assert scf_runtime.clock.now == before
