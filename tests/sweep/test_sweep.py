"""The sweep as its users meet it: points, interruptions, oracles, reports and refusals."""

from __future__ import annotations

import contextlib
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from internals import event_of, lockstep_of, zygote
from sweep_internals import Guide, NotReachedError, points, sweep_of_function
from sweeping import EXPORT, WINDOW, Deploy, each_run, labels

from pytest_scf_async import ScfRuntime, ScfUsageError, fault, graceful

# once: what differs between versions is in test_points.py and test_seeded.py
pytestmark = pytest.mark.once

# -- what it finds -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_second_stops")
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
    assert re.match(r"export does not survive being killed:\n  6 of \d+ interruptions fail, all for one reason\n", text)
    assert text.splitlines()[2] == "  Compared: result; 2 files. Power loss not tried."
    assert f"\nLOST: killed before export.py:{first}\n" in text
    assert '  lost: line "row 0" of rows.txt' in text
    between = f"between export.py:{first - 1}#1 and export.py:{after}#1"
    assert f"An interruption {between} loses data; at these two it does no harm." in text
    assert "  checkpoint.json is changed before rows.txt is, and the two belong together:" in text
    assert "  Fix:     change rows.txt before checkpoint.json, or keep both in one file" in text
    assert f"--scf-async-replay='forced@export.py:{first}#1'" in text
    assert f'  >{first:4}    with open(os.path.join(out, "rows.txt"), "a") as file:' in text
    assert re.search(
        r"\n    effect#3  rename  checkpoint\.json\.new to checkpoint\.json +11 bytes .*\n +<- killed here\n", text
    )
    assert "  Restarted once: FINISHED after 2 s." in text
    assert "  Repro:   sweep.failures[0].write_repro(path)" in text
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
    assert re.match(r"job survives all \d+ interruptions, at \d+ points\n  Compared: result; 3 files\. ", sweep.report)
    assert re.search(r"\nTried: (\d+) of \1 points, with how=graceful, forced\.\n", sweep.report), sweep.report


@pytest.mark.parametrize("how", ["forced", "graceful"])
@pytest.mark.usefixtures("without_second_stops")
def test_where_cpython_checks_for_signals_is_said_where_a_sigterm_was_tried(tmp_path: Path, how: str) -> None:
    """A replay makes one run: that of a kill has no SIGTERM."""
    with ScfRuntime(base_temp=tmp_path / "all") as runtime:
        function = runtime.deploy(f"{EXPORT}:main_handler")
        sweep = runtime.sweep(function, {"rows": 1}, each_run=each_run, include=["export.py"])
        assert "\n  CPython does not check for signals at " in sweep.report
        forced_only = {point.shown for point in sweep.points} - {
            run.point.shown for run in sweep.runs if run.how == "graceful"
        }
        key = next(
            run.key for run in sweep.runs if run.how == how and (how == "graceful" or run.point.shown in forced_only)
        )
    with ScfRuntime(base_temp=tmp_path / "one", sweep_guide=lambda: Guide(replay=key)) as runtime:
        function = runtime.deploy(f"{EXPORT}:main_handler")
        sweep = runtime.sweep(function, {"rows": 1}, each_run=each_run, include=["export.py"])
        assert [run.key for run in sweep.runs] == [key]
        assert "CPython does not check for signals" not in sweep.report


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
    with pytest.raises(AssertionError, match=r'doubled: record mail\(to="a"\), 2 times instead of 1'):
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

    assert scf_runtime.sweep(function, how="graceful", within=40, compares_nothing=True).failures == []
    late = scf_runtime.sweep(function, how="graceful", within=39, compares_nothing=True)
    with pytest.raises(AssertionError, match=r"late: the event ended 40 s after SIGTERM, and not within 39 s"):
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
        compares_nothing=True,
        done=lambda event: event.status == "FINISHED" and not event.signals,
    )

    events = "  Ended FAILED (439) after 0 s; restarted 5 times, failed 5 times (439)"
    assert any(line.startswith(events) for line in sweep.report.splitlines()), sweep.report
    assert sweep.failures
    with pytest.raises(AssertionError, match=r"\nNEVER FINISHES: SIGTERM "):
        sweep.assert_survives()


def test_what_does_not_come_to_a_second_termination_again_is_left_out_and_named(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a handler does after SIGTERM may depend on real time, while its undisturbed run does not."""
    run_of = sweep_of_function.Runner.run
    left_out = "graceful>graceful@wait#1>wait#2"

    def run(runner: Any, plan: Any, *arguments: Any) -> Any:
        if len(plan.steps) > 1 and plan.key == left_out:
            raise NotReachedError("it did not")
        return run_of(runner, plan, *arguments)

    monkeypatch.setattr(sweep_of_function.Runner, "run", run)
    function = deployed(
        """\
        import signal, time
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: None)
            time.sleep(1)
            time.sleep(1)
        """
    )
    sweep = scf_runtime.sweep(function, how="graceful", compares_nothing=True)

    assert f"{left_out} was left out: this time the run did not reach its point" in sweep.report
    assert left_out not in {run.key for run in sweep.runs}
    assert "graceful>graceful@wait#1>job.py:4+1#1" in {run.key for run in sweep.runs}
    sweep.assert_survives()


# -- programs ----------------------------------------------------------------------------------------------------------


def test_a_program_is_interrupted_at_each_line_of_its_log_in_each_wait_and_at_each_effect(
    scf_runtime: ScfRuntime, tmp_path: Path
) -> None:
    script = tmp_path / "job.sh"
    script.write_text(
        """#!/bin/sh
        trap 'stopping=yes' TERM
        next=0
        [ -f "$OUT/next" ] && next=$(cat "$OUT/next")
        while [ "$next" -lt 3 ]; do
            echo "row $next"
            next=$((next + 1))
            echo "$next" > "$OUT/next"
            sleep 10
            echo "row $next" >> "$OUT/rows"
            [ -n "$stopping" ] && exit 3
        done
        exit 0
        """
    )
    script.chmod(0o755)
    function = scf_runtime.deploy_image(command=[script], port=-1)
    sweep = scf_runtime.sweep(function, each_run=each_run)
    log = scf_runtime.sweep(function, each_run=each_run, points="log", how="graceful")

    at_waits = ["log#1", "wait#1", "log#2", "wait#2", "log#3", "wait#3", "end"]
    assert [point.label for point in sweep.points if point.kind != "effect"] == at_waits
    assert [point.seconds for point in sweep.points if point.kind != "effect"] == [0, 0, 10, 10, 20, 20, 30]
    assert labels(sweep)[:5] == ["log#1", "effect#1", "effect#2", "wait#1", "effect#3"]
    lost = [run.key for alike in sweep.failures for run in alike.runs]
    assert {"forced@effect#2", "forced@wait#1", "forced@wait#2", "forced@wait#3"} < {*lost}
    assert all(key.startswith("forced@") for key in lost)
    (found,) = sweep.failures
    assert found.earliest.key == "forced@effect#3"  # at effect#2 more is wrong, for another reason: next is empty
    (emptied,) = (run for run in found.runs if run.key == "forced@effect#2")
    assert emptied.point.text == "write next"
    assert "wait" not in emptied.outcome.timeline
    more = "in 3 of them more goes wrong (lost: line "
    assert more in sweep.report
    assert sweep.report.splitlines()[1].endswith(" interruptions fail, for one reason or more")
    assert {run.outcome.attempts[0].status_code for run in sweep.runs if run.how == "graceful"} == {439}
    assert [run.key for run in log.runs] == ["graceful@log#1", "graceful@log#2", "graceful@log#3"]
    assert not log.failures


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
        function,
        how=graceful(then="forced", after=10),
        include="job.py",
        points="waits",
        done=bool,
        compares_nothing=True,
    )
    again = scf_runtime.sweep(function, how=graceful(again=5), points="waits", done=bool, compares_nothing=True)

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
    sweep = scf_runtime.sweep(function, each_run=each_run, limit=500, compares_nothing=True)

    second = [run for run in sweep.runs if run.point.after is not None]
    assert {run.point.line for run in second if run.how == "graceful>graceful"} >= {3, 4}
    assert {run.point.text for run in second if run.how == "graceful>forced"} == {"write saved"}


# -- faults ------------------------------------------------------------------------------------------------------------


def test_a_connection_is_reset_for_both_of_its_ends(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, socket
        def main_handler(event, context):
            for attempt in range(2):
                try:
                    with socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))) as connection:
                        connection.sendall(b"ping")
                        return connection.recv(9).decode()
                except ConnectionResetError as error:
                    print(error)
        """
    )
    seen = []

    def served(run: Any) -> Iterator[dict[str, str]]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(10)

            def serve() -> None:
                while True:
                    try:
                        with listener.accept()[0] as connection:
                            seen.append((run.point, connection.recv(9)))
                            connection.sendall(b"pong")
                            seen.append((run.point, connection.recv(9)))
                    except ConnectionResetError:
                        seen.append((run.point, "reset"))
                    except OSError:
                        return

            thread = threading.Thread(target=serve)
            thread.start()
            yield {"PORT": str(listener.getsockname()[1])}
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()

    sweep = scf_runtime.sweep(function, each_run=served, how=fault("reset"), compares_nothing=True)

    sweep.assert_survives()
    assert labels(sweep) == ["connection#1", "connection#2"]
    assert [what for point, what in seen if point == "connection#1"] == ["reset", b"ping", b""]
    assert [what for point, what in seen if point == "connection#2"] == [b"ping", "reset", b"ping", b""]

    lasting = scf_runtime.sweep(
        function, each_run=served, how=fault("reset", lasting=True), attempts=1, compares_nothing=True
    )
    assert [[each.status for each in run.outcome.attempts] for run in lasting.runs] == [["FINISHED", "FINISHED"]] * 2
    assert not lasting.failures


def test_a_fault_that_is_none_is_refused() -> None:
    with pytest.raises(ScfUsageError, match=r"fault\('full'\) is not valid: it must be 'enospc' or 'eio' or 'reset'"):
        fault("full")  # type: ignore[arg-type]


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


def test_any_exception_in_it_is_a_failure_of_its_run(scf_runtime: ScfRuntime) -> None:
    """It reads a file, say, that is not there yet."""
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")

    def check(run: Any) -> None:
        (run.path / "rows.txt").read_text()

    sweep = scf_runtime.sweep(function, {"rows": 1}, each_run=each_run, check=check, include="export.py:3*")
    failed = {run.point.label for run in sweep.runs if "check failed" in {kind.value for kind in run.kinds}}
    assert failed
    assert len(failed) < len(sweep.points)
    with pytest.raises(AssertionError, match=r"check failed: test_sweep\.py:\d+: FileNotFoundError: "):
        sweep.assert_survives()


def test_between_which_points_it_fails_is_said_in_words(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """\
        import os
        def main_handler(event, context):
            row, done = (os.path.join(os.environ["OUT"], name) for name in ("row", "done"))
            if not os.path.exists(done):
                open(done, "w").close()
                len(row)
                open(row, "w").close()
            return 1
        """
    )

    def report(*lines: int) -> list[str]:
        include = [f"job.py:{line}" for line in lines]
        return scf_runtime.sweep(function, each_run=each_run, how="forced", include=include).report.splitlines()

    survives_before = report(5, 6, 7)
    at_first = (
        "  It survives at job.py:5#1, and fails at every later point that was tried. 1 more fails alike: job.py:7#1."
    )
    assert at_first in survives_before
    fails = "  It fails from the first point on, and survives at job.py:8#1. 1 more fails alike: job.py:7#1."
    assert fails in report(6, 7, 8)
    assert "  It fails at every point that was tried. 1 more fails alike: job.py:7#1." in report(6, 7)


def test_each_line_of_what_pytest_says_of_a_check_is_indented(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")

    def check(run: Any) -> None:
        names = ["a", "b"]
        assert run.point is None or len(names) == 3

    sweep = scf_runtime.sweep(
        function, {"rows": 1}, each_run=each_run, how="forced", check=check, include=f"export.py:{WINDOW[0]}#1"
    )
    lines = sweep.report.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  check failed: test_sweep.py:"))
    where = f"'export.py:{WINDOW[0]}#1'"
    assert lines[at + 1 : at + 3] == [
        f"   +  where {where} = <Run forced at export.py:{WINDOW[0]}#1>.point",
        "   +  and   2 = len(['a', 'b'])",
    ]


def test_a_long_text_of_a_check_is_cut(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")

    def check(run: Any) -> None:
        if run.point is not None:
            raise AssertionError("\n".join(f"line {number}" for number in range(10)))

    sweep = scf_runtime.sweep(
        function, {"rows": 1}, each_run=each_run, how="forced", check=check, include=f"export.py:{WINDOW[0]}#1"
    )
    lines = sweep.report.splitlines()
    at = lines.index("  line 1")
    assert lines[at : at + 8] == [*(f"  line {number}" for number in range(1, 8)), "    and 2 more lines"]


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
    assert results == [{"rows": 1}] * 2  # the run that fails is made again
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
        function,
        {},
        how="forced",
        include="job.py:3",
        retry=retry,
        compares_nothing=True,
        done=lambda event: event.status == "FINISHED",
    )
    assert payloads == [499] * 2  # its result differs, so the run is made again
    assert [run.outcome.effects.result for run in sweep.runs] == [{"got": 1, "n": 1}]


LEASED = """
import json, os, time
from pytest_scf_async.inside import record

def main_handler(event, context):
    lease = os.path.join(os.environ["OUT"], "lease")
    with open(os.path.join(os.environ["OUT"], "tokens"), "a") as file:
        file.write(f"{os.environ['TENCENTCLOUD_SESSIONTOKEN']} {time.time()}\\n")
    if os.path.exists(lease):
        with open(lease) as file:
            if time.time() < json.load(file):
                return answer("it is held")
    with open(f"{lease}.new", "w") as file:
        json.dump(time.time() + event["seconds"], file)
    os.replace(f"{lease}.new", lease)
    time.sleep(1)
    with open(os.path.join(os.environ["OUT"], "rows"), "w") as file:
        file.write("row")
    os.remove(lease)
    return "done"

def answer(text):
    OTHERWISE
"""


@pytest.mark.usefixtures("without_second_stops")
@pytest.mark.parametrize("otherwise", ["return text", "raise BlockingIOError(text)"])
def test_time_passes_before_the_function_is_invoked_again(
    scf_runtime: ScfRuntime, deployed: Deploy, otherwise: str
) -> None:
    """Leases run out within five attempts, of which each comes after twice the time: 31 minutes in all.

    An instance that is idle for more than five minutes is gone by then, and each event has credentials of its time.
    """
    function = deployed(LEASED.replace("OTHERWISE", otherwise))

    def swept(seconds: int) -> Any:
        given = {"each_run": each_run, "how": "forced", "ignore": "tokens", "points": "waits"}
        return scf_runtime.sweep(function, {"seconds": seconds}, **given)

    sweep = swept(20 * 60)
    sweep.assert_survives()
    longest = max((run.outcome.attempts for run in sweep.runs), key=len)
    raises = "raise" in otherwise
    assert [attempt.cold for attempt in longest[1:]] == [True, raises, raises, True, True]
    assert swept(32 * 60).failures


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
    assert "Not compared, as it differs from run to run: log: " in sweep.report
    assert "result: ['id']" in sweep.report


def test_ignore_leaves_out_files_and_records(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    sweep = scf_runtime.sweep(function, {"rows": 2}, each_run=each_run, ignore="rows.*", how="forced")

    assert sweep.failures == []


def test_observed_values_are_compared_as_a_final_state(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")

    def observing(run: Any) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path)}
        run.observe(rows=(run.path / "rows.txt").read_text().split("\n"))

    sweep = scf_runtime.sweep(function, {"rows": 2}, each_run=observing, ignore="rows.txt", how="forced")
    with pytest.raises(AssertionError, match=r"lost: item .*row 0.* of observed rows|lost: .*row 0"):
        sweep.assert_survives()


# -- how runs are made -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "threading.Thread(target=time.sleep, args=(5,)).start(); len('x'); time.sleep(6)",
        "one, other = socket.socketpair(); time.sleep(1); one.close()",
        "base = sqlite3.connect(os.environ['OUT'] + '/a.db'); base.execute('create table if not exists t (n)')",
        "subprocess.run(['true'])",
    ],
    ids=["a thread", "a connection", "a database", "a child process"],
)
def test_a_handler_that_has_more_than_one_thread_and_its_files_is_interrupted_too(
    scf_runtime: ScfRuntime, deployed: Deploy, line: str
) -> None:
    function = deployed(
        f"""
        import os, signal, socket, sqlite3, subprocess, threading, time
        signal.signal(signal.SIGTERM, lambda *_: None)
        def main_handler(event, context):
            {line}
            open(os.environ['OUT'] + '/done', 'w').close()
            return 1
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run)

    sweep.assert_survives()
    assert {run.how for run in sweep.runs} >= {"graceful", "forced"}


@pytest.mark.usefixtures("without_second_stops")
def test_a_process_that_a_run_leaves_is_killed_before_the_next_run(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, signal
        left = os.environ["OUT"] + "/left"

        def on_sigterm(signum, frame):
            if os.fork() == 0:
                os.setsid()
                if os.fork():
                    os._exit(0)
                while True:
                    with open(left, "a") as file:
                        file.write("x")
            while not os.path.exists(left):
                pass
            os._exit(3)

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            for _ in range(4):
                len("x")
            return os.path.exists(left)
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, compares_nothing=True)

    left = {run.how for run in sweep.runs if run.kinds}
    # "graceful>forced": killed after the child has written, and before the handler has ended
    assert left == {"graceful", "graceful>forced"}, "a process that went on has written to what another run found"


@pytest.mark.parametrize(("least", "in_memory"), [(0, True), (1 << 62, False)])
@pytest.mark.usefixtures("without_second_stops")
def test_runs_write_to_memory_where_there_is_room(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, least: int, in_memory: bool
) -> None:
    monkeypatch.setattr(zygote, "LEAST_IN_MEMORY", least)
    paths = set()

    def each(run: Any) -> Iterator[dict[str, str]]:
        paths.add(run.path)
        yield {"OUT": str(run.path)}

    sweep = scf_runtime.sweep(scf_runtime.deploy(f"{EXPORT}:main_handler"), {"rows": 1}, each_run=each, how="forced")
    assert sweep.runs
    (path,) = paths
    assert path.is_relative_to("/dev/shm") is in_memory
    assert not path.parent.exists()


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_handler_that_is_not_the_same_in_each_run_is_told_first(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path
) -> None:
    function = deployed(
        """
        import os

        def main_handler(event, context):
            for number in range(int(os.environ["RUN"])):
                len("x")
            return 1
        """
    )
    runs = count(3)

    def other_each_time(_run: object) -> Iterator[dict[str, str]]:
        yield {"RUN": str(next(runs))}

    with pytest.raises(
        ScfUsageError, match=r"does not behave the same in each run: run 1 reached [\d,]+ points, run 2 [\d,]+"
    ):
        scf_runtime.sweep(function, each_run=other_each_time)


def test_an_undisturbed_run_that_fails_is_refused_with_its_reason(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed("def main_handler(event, context):\n    raise ValueError('no rows')\n")

    with pytest.raises(
        ScfUsageError, match=r"undisturbed run of function 'job' ended FAILED \(430\).*ValueError: no rows"
    ):
        scf_runtime.sweep(function)


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("os.environ['ROOT']", ". Its environment has no ROOT: have each_run yield {'ROOT': str(run.path)}, if that "),
        ("{}['ROOT']", ""),
        ("{}[os.environ['OUT']]", ""),
    ],
)
def test_an_undisturbed_run_that_lacks_a_variable_says_how_it_gets_it(
    scf_runtime: ScfRuntime, deployed: Deploy, source: str, hint: str
) -> None:
    function = deployed(f"import os\ndef main_handler(event, context):\n    return {source}\n")
    with pytest.raises(ScfUsageError, match="with KeyError: ") as raised:
        scf_runtime.sweep(function, each_run=each_run)
    _, compared, after = str(raised.value).partition("as all other runs are compared with it")
    assert compared
    assert after.startswith(hint) if hint else not after


SHARED_WRITES = {
    "a file": "open(path, 'w').close()",
    "a descriptor": "os.close(os.open(path, os.O_WRONLY | os.O_CREAT))",
    "a path": "pathlib.Path(path).write_text('x')",
    "a directory": "os.mkdir(path)",
    "a removed file": "os.remove(there)",
    "a removed directory": "os.rmdir(folder)",
    "a new name": "os.rename(there, path)",
    "a move": "shutil.move(there, path)",
    "a link": "os.link(there, path)",
    "a symbolic link": "os.symlink(there, path)",
    "a shorter file": "os.truncate(there, 0)",
    "a tree": "shutil.copytree(folder, path)",
    "by a link in its own directory": "os.symlink(os.path.dirname(path), out + '/link'); open(out + '/link/new', 'w')",
}


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", SHARED_WRITES)
def test_a_write_to_a_directory_that_all_runs_would_share_is_refused_with_its_path(
    scf_runtime: ScfRuntime, tmp_path: Path, deployed: Deploy, kind: str
) -> None:
    shared = tmp_path / "shared"
    (shared / "folder").mkdir(parents=True)
    (shared / "there").write_text("x", encoding="utf-8")
    function = deployed(
        f"""
        import os, pathlib, shutil
        path, there, folder = {[str(shared / name) for name in ("path", "there", "folder")]}
        def main_handler(event, context):
            out = os.environ["OUT"]
            {SHARED_WRITES[kind]}
        """
    )
    with pytest.raises(ScfUsageError, match=r"writes to .*, which all runs would share; .* run\.path"):
        scf_runtime.sweep(function, each_run=each_run)

    assert sorted(path.name for path in shared.iterdir()) == ["folder", "there"]
    assert (shared / "there").read_text(encoding="utf-8") == "x"


@pytest.mark.sandbox
def test_what_a_run_writes_to_its_own_directories_and_reads_elsewhere_is_not_refused(
    scf_runtime: ScfRuntime, tmp_path: Path, deployed: Deploy
) -> None:
    database = tmp_path / "rates.db"
    with contextlib.closing(sqlite3.connect(database)) as made:
        made.execute("CREATE TABLE rates (rate)")
    function = deployed(
        f"""
        import os, shutil, sqlite3, tempfile
        def main_handler(event, context):
            os.makedirs(os.environ["OUT"] + "/made")
            with open(os.environ["OUT"] + "/made/part", "w") as file:
                file.write("x")
            os.rename(file.name, os.environ["OUT"] + "/made/whole")
            with tempfile.TemporaryDirectory() as folder, open(folder + "/x", "w") as file, open("/dev/null", "w"):
                file.write("x")
            rates = sqlite3.connect({f"file:{database}?mode=ro"!r}, uri=True)
            return [open({str(database)!r}, "rb").read(6).decode(), rates.execute("SELECT * FROM rates").fetchall()]
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced", limit=1)

    assert sweep.runs
    sweep.assert_survives()


@pytest.mark.sandbox
def test_a_database_that_all_runs_would_share_is_refused(
    scf_runtime: ScfRuntime, tmp_path: Path, deployed: Deploy
) -> None:
    database = tmp_path / "shared.db"
    function = deployed(
        f"""
        import sqlite3
        def main_handler(event, context):
            sqlite3.connect({str(database)!r}).execute("CREATE TABLE rows (row)")
        """
    )
    with pytest.raises(ScfUsageError, match=r"writes to .*shared\.db|unable to open database file"):  # by us or SQLite
        scf_runtime.sweep(function)

    assert not database.exists()


def test_mounts_are_refused(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler", mounts=[tmp_path])

    with pytest.raises(ScfUsageError, match=rf"has mounts={tmp_path}, which all runs would share"):
        scf_runtime.sweep(function)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"how": "sigkill"}, "how='sigkill' is not valid: 'sigkill' is none; it takes 'graceful', 'forced', 'timeout'"),
        ({"how": ()}, "how=() is not valid"),
        ({"points": "calls"}, "points='calls' is not valid: it must be 'lines' or 'waits' or 'log'"),
        ({"limit": 0}, "limit=0 is not valid: it must be a whole number of runs and resumes, 1 or more"),
        ({"attempts": 0}, "attempts=0 is not valid: it must be a whole number of invocations, 1 or more"),
        ({"include": 3}, "include=3 is not valid: it must be a pattern of files"),
        ({"within": -1}, "within"),
        ({"each_run": lambda _: {}}, "each_run returned dict: it must be a function with a yield"),
        ({"hows": "graceful"}, "has no keyword 'hows'; did you mean 'how'?"),
    ],
)
def test_what_is_not_valid_is_refused(scf_runtime: ScfRuntime, given: dict[str, Any], text: str) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    with pytest.raises(ScfUsageError) as refusal:
        scf_runtime.sweep(function, {"rows": 1}, **given)
    assert text in str(refusal.value)


def test_more_points_than_can_be_kept_are_refused_and_exclude_helps(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(points, "MOST_POINTS", 2_000)
    (tmp_path / "tables.py").write_text("def filled():\n    rows = 0\n    while rows < 3_000:\n        rows += 1\n")
    (tmp_path / "job.py").write_text("import tables\n\ndef main_handler(event, context):\n    tables.filled()\n")
    function = scf_runtime.deploy(f"{tmp_path / 'job.py'}:main_handler")

    with pytest.raises(ScfUsageError, match=r"function 'job' comes to more than 500,000 points: give it a smaller"):
        scf_runtime.sweep(function)
    sweep = scf_runtime.sweep(function, exclude="tables.py", compares_nothing=True)
    assert not sweep.failures
    assert {point.file for point in sweep.points} == {"job.py"}


def test_points_that_came_together_with_those_that_were_too_many_end_nothing_again(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    event = deployed("def main_handler(event, context):\n    while True:\n        pass\n").invoke_async()
    lockstep = lockstep_of(scf_runtime)
    with pytest.raises(ScfUsageError, match="comes to more than 500,000 points"):
        lockstep.feature(points.Points)._too_many(event_of(event))

    lockstep.feature(points.Points)._too_many(event_of(event))
    assert event.transitions[-1][0] == "FAILED"


def test_a_sweep_that_interrupts_nothing_fails(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    sweep = scf_runtime.sweep(function, {"rows": 1}, each_run=each_run, include="other.py")

    nothing = r"interrupted nothing: .*, include= matches none of these: .*export\.py:\d+-\d+ \(main_handler\)"
    with pytest.raises(AssertionError, match=nothing):
        sweep.assert_survives()


def test_its_events_are_none_of_the_test(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")
    before = scf_runtime.clock.now
    sweep = scf_runtime.sweep(function, {"rows": 1}, each_run=each_run, limit=5)

    assert sweep.runs
    assert scf_runtime.events == []
    assert scf_runtime.clock.now == before


def test_a_file_that_the_undisturbed_run_did_not_leave_needs_an_each_run(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """
        import os
        def main_handler(event, context):
            with open(os.path.join(os.environ.get("OUT", "/tmp"), "rows"), "w") as file:
                file.write("row")
        """
    )

    def check(run: Any) -> None:
        assert run.point or (run.path / "rows").read_text() == "row"

    with pytest.raises(
        ScfUsageError, match=r"^check=: \S+/rows does not exist after the undisturbed run: have each_run "
    ):
        scf_runtime.sweep(function, check=check)
    with pytest.raises(FileNotFoundError, match="/nowhere"):
        scf_runtime.sweep(function, check=lambda _: Path("/nowhere").read_text())

    assert scf_runtime.sweep(function, check=check, each_run=each_run).runs
