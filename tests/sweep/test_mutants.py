"""What a sweep notices of breaks of the handler's shutdown code, and which lines no run came to."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from internals import scratch_of
from sweep_internals import facts_of, sweep_of_function

from pytest_scf_async import Function, ScfRuntime, ScfUsageError, fault
from pytest_scf_async.sweep import mutating
from pytest_scf_async.sweep.findings import Swept
from pytest_scf_async.sweep.guide import Guide

# once: what differs by Python are points, which have tests of their own
pytestmark = pytest.mark.once

JOBS = """
    import json
    import os
    import signal
    import time
    from pathlib import Path

    stopping = False


    def stop(number, frame):
        global stopping
        stopping = True


    def main_handler(event, context):
        global stopping
        stopping = False
        signal.signal(signal.SIGTERM, stop)
        out = Path(os.environ["OUT"])
        queue = out / "queue.json"
        jobs = json.loads(queue.read_text()) if queue.exists() else [1, 2]
        queue.write_text("[]")
        while jobs:
            if stopping:
                queue.write_text(json.dumps(jobs))
                return {"left": len(jobs)}
            time.sleep(1)
            out.joinpath(f"{jobs.pop(0)}.txt").write_text("done")
        return {"left": 0}
    """
"""It takes all jobs out of the queue, and has to put back what is left."""
USELESS = JOBS.replace('queue.write_text("[]")', "queue.write_text(json.dumps(jobs))")
"""All jobs stay in the queue, and are done again."""
EARLY = JOBS.replace("        signal.signal(signal.SIGTERM, stop)\n", "").replace(
    """        queue.write_text("[]")
""",
    """        queue.write_text("[]")
        signal.signal(signal.SIGTERM, stop)
""",
)
EARLY = EARLY.replace("        stopping = True\n", "        stopping = True\n        seen.append(number)\n")
EARLY = EARLY.replace("    stopping = False\n", "    stopping = False\n    seen = []\n", 1)
"""It takes the jobs before it listens, and what its listener adds to is not read."""

Deploy = Callable[[str], Function]


@pytest.fixture(autouse=True)
def few_first_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be most of the time."""
    monkeypatch.setattr(sweep_of_function, "_FIRST_STOPS", 4)
    monkeypatch.setattr(sweep_of_function, "_MUTANT_STOPS", 4)


@pytest.fixture
def deployed(scf_runtime: ScfRuntime, tmp_path: Path) -> Deploy:
    """Deploys the source of a handler."""

    def deploy(source: str) -> Function:
        path = tmp_path / "code" / "export.py"
        path.parent.mkdir()
        path.write_text(textwrap.dedent(source).lstrip("\n"))
        return scf_runtime.deploy(f"{path}:main_handler")

    return deploy


def each_run(run: Any) -> Iterator[dict[str, str]]:
    yield {"OUT": str(run.path)}


def swept(runtime: ScfRuntime, function: Function, **more: Any) -> Any:
    return runtime.sweep(function, each_run=each_run, how="graceful", mutate=True, **more)


def line_of(source: str, text: str) -> int:
    """The number of the line that has *text*."""
    lines = textwrap.dedent(source).lstrip("\n").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


# -- mutants -----------------------------------------------------------------------------------------------------------


def test_each_mutant_of_a_shutdown_that_is_needed_is_noticed(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path
) -> None:
    function = deployed(JOBS)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    sweep = swept(scf_runtime, function, limit=20)

    sweep.assert_survives()
    found = [(outcome.mutant.kind, outcome.mutant.line, outcome.noticed) for outcome in sweep.mutants]
    assert found == [
        ("exit instead of return", line_of(JOBS, "def stop"), True),
        ("listener removed", line_of(JOBS, "signal.signal"), True),
        ("registered late", line_of(JOBS, "signal.signal"), True),
        ("save skipped", line_of(JOBS, "queue.write_text(json.dumps"), True),
    ]
    assert all({kind.value for kind in outcome.run.kinds} == {"lost"} for outcome in sweep.mutants)
    assert "The sweep noticed 4 of 4 mutants of the handler's shutdown code" in sweep.report.splitlines()
    assert "not noticed" not in sweep.report
    assert "event.stop()" not in sweep.report
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not list(Path(scratch_of(scf_runtime)).glob("mutant-*"))


def test_a_mutant_of_a_save_that_is_useless_is_named(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = swept(scf_runtime, deployed(USELESS), limit=12)

    save = line_of(USELESS, "            queue.write_text")
    registered = line_of(USELESS, "signal.signal")
    assert [outcome.noticed for outcome in sweep.mutants] == [False] * 4
    at = sweep.report.splitlines().index("The sweep noticed 0 of 4 mutants of the handler's shutdown code")
    assert sweep.report.splitlines()[at : at + 6] == [
        "The sweep noticed 0 of 4 mutants of the handler's shutdown code",
        f"  not noticed: export.py:{line_of(USELESS, 'def stop')} stop() ends with os._exit(1)",
        f"  not noticed: export.py:{registered} signal.signal(signal.SIGTERM, stop) left out of main_handler()",
        f"  not noticed: export.py:{registered} signal.signal(signal.SIGTERM, stop) moved to the end of main_handler()",
        f"  not noticed: export.py:{save} queue.write_text(json.dumps(jobs)) left out of main_handler()",
        "  Without its SIGTERM handler it loses no more than with it: event.stop() in a test shows that it stops.",
    ]


def test_what_the_handler_loses_itself_is_not_noticed_in_a_mutant(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = swept(scf_runtime, deployed(EARLY))

    taken = line_of(EARLY, 'write_text("[]")')
    assert {run.point.line for run in sweep.runs if run.fails()} == {taken, taken + 1}
    noticed = {outcome.mutant.text: outcome.noticed for outcome in sweep.mutants}
    assert noticed["queue.write_text(json.dumps(jobs))"]
    assert not noticed["seen.append(number)"]


def test_a_break_that_only_a_second_sigterm_shows_is_noticed(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        import os, signal, sys, time
        def stop(number, frame):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            write()
            time.sleep(1)
            sys.exit(0)
        def write():
            with open(f"{os.environ['OUT']}/rows", "a") as file:
                file.write("row")
        def main_handler(event, context):
            if not os.path.exists(f"{os.environ['OUT']}/rows"):
                signal.signal(signal.SIGTERM, stop)
                time.sleep(1)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                write()
            return 1
        """
    monkeypatch.setattr(mutating, "MOST", 2)
    sweep = swept(scf_runtime, deployed(source))

    sweep.assert_exactly_once()
    ends, guard = sweep.mutants
    assert ends.mutant.kind == "exit instead of return"
    assert not ends.noticed
    assert guard.mutant.text == "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    assert guard.run.how == "graceful>graceful"


def test_a_mutant_whose_undisturbed_run_fails_is_noticed(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import signal, time
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, stop)
            time.sleep(1)
            return callable(signal.getsignal(signal.SIGTERM)) or 1 / 0
        def stop(number, frame):
            return
        """
    )
    sweep = swept(scf_runtime, function, limit=4, compares_nothing=True)

    found = {outcome.mutant.kind: outcome for outcome in sweep.mutants}
    assert found["listener removed"].noticed
    assert "ended FAILED (430)" in found["listener removed"].undisturbed
    assert not found["exit instead of return"].noticed


def test_statements_that_run_undisturbed_are_no_shutdown_code(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    source = """
        import signal, time
        seen = []
        def save():
            seen.append(1)
        def stop(number, frame):
            save()
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, stop)
            save()
            time.sleep(1)
            return 1
        """
    sweep = swept(scf_runtime, deployed(source), limit=2, compares_nothing=True)

    saves = [outcome.mutant for outcome in sweep.mutants if outcome.mutant.kind == "save skipped"]
    assert [(mutant.line, mutant.function) for mutant in saves] == [(line_of(source, "def stop") + 1, "stop")]


def test_mutants_that_were_not_tried_are_counted(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = deployed(USELESS)
    with monkeypatch.context() as patched:
        patched.setattr(mutating, "MOST", 1)
        sweep = swept(scf_runtime, function, limit=2)

    assert len(sweep.mutants) == 1
    assert "note: 3 mutants were not tried, because a sweep tries 1 at most" in sweep.report.splitlines()
    asked, over = itertools.count(1), len(sweep.runs)
    guide = Guide(seconds_left=lambda: None if next(asked) <= over else 0.0)
    with ScfRuntime(base_temp=tmp_path, sweep_guide=lambda: guide) as runtime:
        timed = swept(runtime, runtime.deploy(f"{tmp_path}/code/export.py:main_handler"), limit=2)

        assert facts_of(timed).incomplete == ""
        assert timed.mutants == ()
        note = "note: 4 mutants were not tried, because the time limit of the test was near"
        assert note in timed.report.splitlines()


@pytest.mark.parametrize(
    "stage",
    [
        ((sweep_of_function, "not_reached"), 0, "the lines that no run reached are not listed, because Ctrl-C or *"),
        ((sweep_of_function, "not_reached"), 0, "no mutants were tried, because Ctrl-C or SIGTERM arrived"),
        ((mutating, "_outcome"), 0, "not all mutants were tried, because Ctrl-C or SIGTERM arrived"),
        ((mutating, "_outcome"), 2, "not all mutants were tried, because Ctrl-C or SIGTERM arrived"),
    ],
)
def test_ctrl_c_after_the_runs_loses_nothing_that_is_known(
    deployed: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: tuple[tuple[Any, str], int, str]
) -> None:
    where, known, note = stage
    deployed(USELESS)
    before, calls = getattr(*where), itertools.count()

    def interrupted(*arguments: Any) -> Any:
        if next(calls) == known:
            raise KeyboardInterrupt
        return before(*arguments)

    monkeypatch.setattr(*where, interrupted)
    found: list[Swept] = []
    guide = Guide(finished=found.append)
    with ScfRuntime(base_temp=tmp_path, sweep_guide=lambda: guide) as runtime:
        function = runtime.deploy(f"{tmp_path}/code/export.py:main_handler")
        with pytest.raises(KeyboardInterrupt):
            swept(runtime, function, limit=2)

    (only,) = found
    assert (len(only.runs), only.incomplete, len(only.mutants)) == (only.planned, "", known)
    pytest.LineMatcher(list(only.notes)).fnmatch_lines([note])


def test_a_handler_without_a_listener_has_nothing_to_mutate(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    handler = "def main_handler(event, context):\n    return sum([1, 2])"
    sweep = swept(scf_runtime, deployed(handler), compares_nothing=True)

    assert sweep.mutants == ()
    assert "note: no listener for SIGTERM in export.py: nothing to mutate" in sweep.report.splitlines()


def test_mutate_is_a_truth_value_and_goes_with_sigterm(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(JOBS)
    with pytest.raises(ScfUsageError, match="mutate='yes' is not valid: it must be True or False"):
        scf_runtime.sweep(function, mutate="yes")  # type: ignore[arg-type]
    with pytest.raises(ScfUsageError, match="mutate=True is not valid: it goes with how='graceful'"):
        scf_runtime.sweep(function, how=("forced", "timeout"), mutate=True)


def test_code_that_is_too_large_to_copy_is_told(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = deployed(JOBS)
    monkeypatch.setattr("pytest_scf_async.instances.code.LARGEST_CODE", 100)
    sweep = swept(scf_runtime, function, limit=1)

    assert sweep.mutants == ()
    assert re.search(r"note: sweep\(mutate=True\) would copy \d{3} bytes of .*/code, and the platform", sweep.report)


def test_a_shard_tries_no_mutants(deployed: Deploy, tmp_path: Path) -> None:
    deployed(JOBS)
    with ScfRuntime(base_temp=tmp_path, sweep_guide=lambda: Guide(shard=(1, 2))) as runtime:
        sweep = swept(runtime, runtime.deploy(f"{tmp_path}/code/export.py:main_handler"), limit=4)

        assert sweep.mutants == ()
        assert "note: a shard tries no mutants: they are compared with all runs" in sweep.report.splitlines()


# -- lines that no run came to -----------------------------------------------------------------------------------------


def test_lines_that_no_run_came_to_are_named(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    source = """
        import os, signal, time
        from pathlib import Path
        def stop(number, frame):
            print("stop")
            if number != signal.SIGTERM:
                print("another")
                raise ValueError(number)
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, stop)
            place = Path(os.environ["OUT"], "started")
            if place.exists():
                print("again")
            else:
                place.touch()
            time.sleep(1)
            os._exit(1) if event == "exit" else None
            return 1
        def never():
            return 2
        """
    function = deployed(source)
    sweep = scf_runtime.sweep(function, each_run=each_run)

    sweep.assert_survives()
    first, last = line_of(source, 'print("another")'), line_of(source, "return 2")
    assert facts_of(sweep).not_reached == (f"export.py:{first}-{first + 1}", f"export.py:{last}")
    count = facts_of(sweep).collected
    assert (
        f"The main thread did not reach these lines in any of {count:,} runs that collected lines: "
        f"export.py:{first}-{first + 1}, export.py:{last}"
    ) in sweep.report.splitlines()
    forced = scf_runtime.sweep(function, each_run=each_run, how="forced")
    forced.assert_survives()
    again = line_of(source, "def stop") + 1
    assert facts_of(forced).not_reached == (f"export.py:{again}-{again + 3}", f"export.py:{last}")
    assert facts_of(forced).collected == 4


def test_lines_that_only_a_failed_write_leads_to_are_reached_by_one(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    source = """
        import os
        from pathlib import Path
        def main_handler(event, context):
            try:
                Path(os.environ["OUT"], "result").write_text("done")
            except OSError:
                print("again")
                Path(os.environ["OUT"], "result").write_text("done")
            return 1
        """
    function = deployed(source)
    undisturbed = scf_runtime.sweep(function, each_run=each_run, how="forced")
    failing = scf_runtime.sweep(function, each_run=each_run, how=fault("enospc"))

    undisturbed.assert_survives()
    failing.assert_survives()
    first = line_of(source, "except OSError")
    assert facts_of(undisturbed).not_reached == (f"export.py:{first}-{first + 2}",)
    assert facts_of(failing).not_reached == ()
