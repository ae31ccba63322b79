"""A SIGTERM to which nobody listens ends the process anywhere, so a record answers it, as it answers kills."""

from __future__ import annotations

import re
import socket
import sys
from typing import Any

import pytest
from sweep_internals import sweep_of_function
from sweeping import Deploy, each_run

from pytest_scf_async import ScfRuntime

# interpreter: where Python looks for signals, and which lines are points, depends on its version
pytestmark = pytest.mark.interpreter

IN_PLACE = """
    import json, os, pathlib, signal

    def main_handler(event, context):
        # listens
        saved = pathlib.Path(os.environ["OUT"], "state.json")
        state = json.loads(saved.read_text()) if saved.exists() else {"done": 0}
        while state["done"] < 2:
            state["done"] += 1
            saved.write_text(json.dumps(state))
        return state
"""
LISTENS = "signal.signal(signal.SIGTERM, lambda *_: None)"


def of_kind(sweep: Any, kind: str, how: str = "graceful") -> set[str]:
    return {run.point.shown for run in sweep.runs if run.how == how and run.point.kind == kind}


def test_it_ends_a_write_of_a_library(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(IN_PLACE)
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    (failure,) = sweep.failures
    assert failure.earliest.key == "graceful@effect#2"
    (killed, *others) = failure.earliest.outcome.attempts
    assert (killed.status, killed.status_code) == ("FAILED", 439)
    assert {(each.status_code, each.cold) for each in others} == {(430, True)}
    assert "\nNEVER FINISHES: SIGTERM while job.py:10 was writing state.json\n" in sweep.report
    assert "SIGTERM cannot be delivered" not in sweep.report
    forced = scf_runtime.sweep(function, each_run=each_run, how="forced")
    assert {run.point.shown for run in forced.runs} <= {run.point.shown for run in sweep.runs}
    assert len(forced.failures) == 1


def test_a_kill_at_the_same_place_says_it_too(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(IN_PLACE), each_run=each_run)
    (failure,) = sweep.failures
    assert {run.key for run in failure.runs} == {"forced@effect#2"}
    assert of_kind(sweep, "both")
    assert not of_kind(sweep, "line") | of_kind(sweep, "effect")


def test_who_looks_at_the_event_sees_both(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    statuses: dict[tuple[str, str], int] = {}

    def check(run: Any) -> None:
        if run.point is not None:
            statuses[run.how, run.point] = run.event.status_code

    sweep = scf_runtime.sweep(deployed(IN_PLACE), each_run=each_run, check=check, workers=1)
    assert of_kind(sweep, "effect") == of_kind(sweep, "effect", "forced") == {"effect#2"}
    at_effects = {how: code for (how, point), code in statuses.items() if point == "effect#2"}
    assert at_effects == {"graceful": 439, "forced": 499}


def test_where_somebody_listens_it_ends_nothing(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(IN_PLACE.replace("# listens", LISTENS))
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    sweep.assert_survives()
    assert not of_kind(sweep, "effect")
    assert max(run.point.line for run in sweep.runs if run.point.kind == "line") <= 5


@pytest.mark.parametrize(
    "listens", ["signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])", LISTENS.replace("lambda *_: None", "1")]
)
def test_nor_where_it_is_blocked_or_ignored(scf_runtime: ScfRuntime, deployed: Deploy, listens: str) -> None:
    function = deployed(IN_PLACE.replace("# listens", listens))
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    sweep.assert_survives()
    assert not of_kind(sweep, "effect")


def test_before_and_after_a_listener_it_does(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        f"""
        import os, pathlib, signal

        def main_handler(event, context):
            out = pathlib.Path(os.environ["OUT"])
            (out / "before").write_text("it is installed")
            {LISTENS}
            (out / "meanwhile").write_text("it runs")
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            (out / "after").write_text("it is gone")
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    texts = {run.point.text for run in sweep.runs if run.point.kind == "effect"}
    assert texts == {"write before", "write after"}


def test_where_a_library_installs_one_between_two_changes(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        f"""
        import os, signal
        source = '''
        import signal
        def change(out):
            (out / "before").write_text("it is installed")
            {LISTENS}
            (out / "meanwhile").write_text("it runs")
        '''
        code = {{}}
        exec(compile(__import__("textwrap").dedent(source), "library.py", "exec"), code)
        import pathlib

        def main_handler(event, context):
            code["change"](pathlib.Path(os.environ["OUT"]))
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    texts = {run.point.text for run in sweep.runs if run.point.kind == "effect"}
    assert texts == {"write before", "open meanwhile"}  # after the one write, and before the listener


def test_a_write_is_cut_at_a_page(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, pathlib

        def main_handler(event, context):
            pathlib.Path(os.environ["OUT"], "rows").write_bytes(bytes(range(1, 251)) * 40)
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    assert of_kind(sweep, "effect") == {"effect#2", "effect#2+4096", "effect#2+8192"}
    assert not sweep.failures


def test_so_is_one_of_a_program(scf_runtime: ScfRuntime) -> None:
    writes = "import os; os.write(os.open(os.environ['OUT'] + '/rows', os.O_CREAT | os.O_WRONLY), b'row' * 4000)"
    command = [sys.executable, "-I", "-c", writes]
    function = scf_runtime.deploy_image(command=command, port=-1, timeout=600)
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    cuts = {point for point in of_kind(sweep, "effect") if "+" in point}
    assert cuts == {"effect#2+4096", "effect#2+8192"}
    assert not of_kind(scf_runtime.sweep(function, each_run=each_run), "effect") & cuts


SPEAKS = """
    import os, pathlib, socket

    def main_handler(event, context):
        saved = pathlib.Path(os.environ["OUT"], "saved")
        if saved.exists():
            assert saved.read_text() == "whole"
        socket.create_connection(("127.0.0.1", PORT)).sendall(b"hello")
        saved.write_text("whole")
"""


def test_after_a_connect_the_process_is_killed_for_real(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        function = deployed(SPEAKS.replace("PORT", str(server.getsockname()[1])))
        sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    (failure,) = sweep.failures
    assert re.fullmatch(r"graceful@effect#\d+", failure.earliest.key)
    assert failure.earliest.point.text == "write saved"
    assert re.search(r"\nnote: \d+ kills after the first connect were real runs", sweep.report)
    assert not sweep._swept.unlike


def test_without_a_record_it_ends_the_process_at_each_line(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_of_function.Undisturbed, "_is_recorded", lambda _: False)
    function = deployed(
        """
        import os, pathlib

        def main_handler(event, context):
            done = False
            done = done or not pathlib.Path(os.environ["OUT"], "claimed").write_text("claimed")
            number = 1
            pathlib.Path(os.environ["OUT"], "done").write_text("done")
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    at = {run.key: run.outcome.attempts[0].status_code for run in sweep.runs if run.point.kind == "line"}
    assert "graceful@job.py:8#1" in at
    assert set(at.values()) == {439}
