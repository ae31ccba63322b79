"""Kills after a SIGTERM come from the record of the run that was stopped."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pytest
from sweeping import Deploy, each_run, each_run_with_a_server

from pytest_scf_async import ScfRuntime

# once: what differs between versions is in test_points.py and test_seeded.py
pytestmark = pytest.mark.once

SAVES_IN_PLACE = """
    import json, os, pathlib, signal, time

    def main_handler(event, context):
        saved = pathlib.Path(os.environ["OUT"], "state.json")
        state = json.loads(saved.read_text()) if saved.exists() else {"done": 0}
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        for number in range(state["done"], 3):
            time.sleep(1)
            state["done"] = number + 1
            if asked:
                saved.write_text(json.dumps(state))
                return state
        new = saved.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(saved)
        return state
"""
SAVES_BY_RENAME = SAVES_IN_PLACE.replace(
    """
                saved.write_text(json.dumps(state))
""",
    """
                new = saved.with_suffix(".new")
                new.write_text(json.dumps(state))
                new.replace(saved)
""",
)


def test_a_kill_within_what_a_stop_saves_is_found(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(SAVES_IN_PLACE), each_run=each_run)
    (found,) = sweep.failures
    print(sweep.report)
    assert {kind.value for kind in found.kinds} == {"never finishes"}
    assert {run.how for run in found.runs} == {"graceful>forced"}
    assert {run.point.text for run in found.runs} == {"write state.json"}
    assert all("state.json (0 bytes)" in run.outcome.written for run in found.runs)


def test_each_stop_is_recorded_however_many_there_are(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    late = SAVES_BY_RENAME.replace(
        'new = saved.with_suffix(".new")\n                new.write_text',
        'new = saved.with_suffix(".new") if number < 26 else saved\n                new.write_text',
    ).replace('range(state["done"], 3)', 'range(state["done"], 30)')
    sweep = scf_runtime.sweep(deployed(late), each_run=each_run, points="waits")
    (found,) = sweep.failures
    assert {run.how for run in found.runs} == {"graceful>forced"}
    assert min(run.point.after.seconds for run in found.runs) == 26


MAILS_LATE = """
    import os, pathlib, signal, time
    from pytest_scf_async.inside import record

    def main_handler(event, context):
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        mark = pathlib.Path(os.environ["OUT"], "mark")
        if mark.exists():
            return "done"
        time.sleep(1)
        if asked:
            FIRST
            time.sleep(20)
            THEN
            return "done"
        record("mail", to="a")
        mark.touch()
        return "done"
"""


def test_a_kill_before_a_record_is_found_though_no_file_changes_any_more(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    mark, mail = "mark.touch()", 'record("mail", to="a")'
    wrong = MAILS_LATE.replace("FIRST", mark).replace("THEN", mail)
    (found,) = scf_runtime.sweep(deployed(wrong), each_run=each_run).failures
    assert {kind.value for kind in found.kinds} == {"lost"}
    assert {(run.how, run.point.text) for run in found.runs} == {("graceful>forced", "record mail")}


def test_none_is_where_the_record_comes_first(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    right = MAILS_LATE.replace("FIRST", 'record("mail", to="a")').replace("THEN", "mark.touch()")
    scf_runtime.sweep(deployed(right), each_run=each_run).assert_survives()


def test_none_is_where_a_stop_saves_by_a_rename(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(SAVES_BY_RENAME), each_run=each_run)
    sweep.assert_survives()
    assert any(run.point.kind == "effect" and run.point.after is not None for run in sweep.runs)


def test_what_the_next_event_does_in_the_same_instance_is_no_effect_of_the_one_that_was_stopped(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """
        import os, pathlib, signal, time

        def main_handler(event, context):
            asked = []
            signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
            time.sleep(1)
            if asked:
                return "stopped"
            time.sleep(1)
            pathlib.Path(os.environ["OUT"], "done").write_text("done")
            return "done"
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run)
    sweep.assert_survives()
    assert all(run.point.seconds <= 2 for run in sweep.runs)


def test_one_is_repeated_by_its_key(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(job=textwrap.dedent(SAVES_IN_PLACE))
    pytester.makepyfile(
        test_job="""
        def each_run(run):
            yield {"OUT": str(run.path)}

        def test_it(scf_runtime):
            sweep = scf_runtime.sweep(scf_runtime.deploy("job.py:main_handler"), each_run=each_run)
            sweep.assert_survives()
        """
    )
    failed = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    failed.assert_outcomes(failed=1)
    key = re.search(r"--scf-async-replay='(graceful>forced@\S+>effect#\d+)'", failed.stdout.str())
    assert key is not None

    repeated = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "-p", "no:asyncio", f"--scf-async-replay={key[1]}"
    )

    repeated.assert_outcomes(failed=1)
    assert "  1 of 1 interruption fails\n" in repeated.stdout.str()
    assert f"Replay:  pytest test_job.py::test_it --scf-async-replay='{key[1]}'" in repeated.stdout.str()


def test_a_key_of_no_effect_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(job=textwrap.dedent(SAVES_BY_RENAME))
    pytester.makepyfile(
        test_job="""
        def test_it(scf_runtime):
            def each_run(run):
                yield {"OUT": str(run.path)}

            scf_runtime.sweep(scf_runtime.deploy("job.py:main_handler"), each_run=each_run).assert_survives()
        """
    )
    key = "graceful>forced@wait#1>effect#99"
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio", f"--scf-async-replay={key}")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["ERROR: no sweep in this session has the run *effect#99'"])


def test_a_check_is_asked_of_each_with_its_log(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, pathlib, signal, time

        def main_handler(event, context):
            out = pathlib.Path(os.environ["OUT"])

            def stop(*_):
                print("first")
                (out / "one").write_text("1")
                print("second")
                (out / "two").write_text("2")

            signal.signal(signal.SIGTERM, stop)
            time.sleep(10)
            return "done"
        """
    )
    seen = {}

    def check(run: Any) -> None:
        if run.how == "graceful>forced":
            files = sorted(each.name for each in run.path.iterdir() if each.stat().st_size)
            seen[run.point] = [*files, *(word for word in ("first", "second") if word in str(run.events[0].log))]

    sweep = scf_runtime.sweep(function, each_run=each_run, check=check, points="waits")

    assert not any(run.outcome.check for run in sweep.runs)
    found = [seen[each] for each in sorted(seen) if each.startswith("wait#1>effect#")]
    assert found == [["first"], ["first"], ["one", "first", "second"], ["one", "first", "second"]]


def test_limit_counts_them(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(SAVES_IN_PLACE)
    whole = scf_runtime.sweep(function, each_run=each_run, points="waits")
    kills = sum(run.point.kind == "effect" and run.point.after is not None for run in whole.runs)
    assert kills > 1

    planned = len(whole.points) - kills
    less = scf_runtime.sweep(function, each_run=each_run, points="waits", limit=planned + 1)

    assert sum(run.point.kind == "effect" and run.point.after is not None for run in less.runs) <= 1
    assert re.search(r"Not tried: \d+ points beyond limit=", less.report)


SPEAKS_WHEN_STOPPED = """
    import os, pathlib, signal, socket, time

    def main_handler(event, context):
        saved = pathlib.Path(os.environ["OUT"], "done")
        first = int(saved.read_text()) if saved.exists() else 0

        def stop(*_):
            with socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))) as connection:
                connection.sendall(b"stops")
            SAVE
            raise SystemExit(3)

        signal.signal(signal.SIGTERM, stop)
        for number in range(first, 2):
            time.sleep(1)
            pathlib.Path(os.environ["OUT"], f"row-{number}").write_text("row")
"""


@pytest.mark.parametrize(
    ("save", "is_right"),
    [
        ("saved.write_text('0')", False),
        ("new = saved.with_suffix('.new'); new.write_text('0'); new.replace(saved)", True),
    ],
)
def test_a_kill_in_a_listener_that_speaks_to_a_server_is_a_real_run(
    scf_runtime: ScfRuntime, deployed: Deploy, save: str, *, is_right: bool
) -> None:
    function = deployed(SPEAKS_WHEN_STOPPED.replace("SAVE", save))
    sweep = scf_runtime.sweep(function, each_run=each_run_with_a_server, ignore=["done", "done.new"])
    after = [run for run in sweep.runs if run.how == "graceful>forced"]
    tried = {run.point.text.partition(" to ")[0].removesuffix(".new") for run in after}
    assert {"send 5 bytes", "write done"} <= tried
    assert all(run.outcome.attempts[0].status == "ABORTED" for run in after)
    assert " kills after the first connect were real runs" in sweep.report
    wrong = [run for run in sweep.runs if run.kinds]
    assert bool(wrong) != is_right
    assert {(run.how, run.point.text) for run in wrong} <= {("graceful>forced", "write done")}


def test_a_real_kill_that_a_run_with_threads_does_not_come_to_is_left_out_with_a_note(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """
        import os, pathlib, socket, threading

        def main_handler(event, context):
            with socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))) as client:
                sends = lambda: [client.sendall(b"x") for _ in range(int(os.environ["SENDS"]))]
                thread = threading.Thread(target=sends)
                thread.start()
                thread.join()
            pathlib.Path(os.environ["OUT"], "done").write_text("done")
        """
    )

    def fewer(run: Any) -> Any:
        for environment in each_run_with_a_server(run):
            yield {**environment, "SENDS": "3" if run.point is None else "2"}

    sweep = scf_runtime.sweep(function, each_run=fewer, how="forced")
    sweep.assert_survives()
    assert "note: forced@effect#6 was left out: this time the run did not reach its point" in sweep.report
