"""An export is terminated in the middle: is anything lost, and does the next event finish the work?"""

import json
from pathlib import Path

import pytest

from pytest_scf_async import Function, ScfRuntime, assert_finished, assert_log_order, assert_reused, assert_transitions


@pytest.fixture
def export(scf_runtime: ScfRuntime, tmp_path: Path):
    return scf_runtime.deploy("handlers/export.py:main_handler", environment={"OUT": str(tmp_path)})


def test_an_interrupted_export_keeps_its_checkpoint(scf_runtime: ScfRuntime, tmp_path: Path):
    export = scf_runtime.deploy("handlers/export.py:main_handler", environment={"OUT": str(tmp_path)})
    event = export.invoke_async({"rows": 10_000})
    event.wait_for_log("row 500 ")
    event.stop(within=30)

    assert event.result == {"complete": False, "row": 500}
    assert (tmp_path / "checkpoint.json").read_text() == '{"row": 500}'


def test_the_signal_arrives_at_the_very_row(export: Function, tmp_path: Path):
    event = export.invoke_async({"rows": 10_000}).wait_for_log("row 500 ")
    event.terminate(grace_shutdown=True)
    event.wait()

    assert json.loads((tmp_path / "checkpoint.json").read_text()) == {"row": 500}
    assert (tmp_path / "rows.csv").read_text().split() == [str(row) for row in range(1, 501)]
    assert_finished(event, result={"complete": False, "row": 500})
    assert_log_order(event, ["row 499 ", "row 500 ", "Signal received successfully", "END RequestId"])
    assert "row 501 " not in str(event.log)


def test_the_next_event_goes_on_from_the_checkpoint(export: Function, tmp_path: Path):
    first = export.invoke_async({"rows": 1_000}).wait_for_log("row 500 ")
    first.terminate(grace_shutdown=True)
    first.wait()
    second = export.invoke_async({"rows": 1_000}).wait()

    assert_reused(second)
    assert_finished(second, result={"complete": True, "row": 1_000})
    assert (tmp_path / "rows.csv").read_text().split() == [str(row) for row in range(1, 1_001)]
    assert not (tmp_path / "checkpoint.json").exists()


def test_a_forced_termination_leaves_no_checkpoint(export: Function, tmp_path: Path):
    event = export.invoke_async({"rows": 10_000}).wait_for_log("row 500 ")
    event.terminate()

    assert_transitions(event, ["RUNNING", "ABORTED"])
    assert event.status_code == 499
    assert not (tmp_path / "checkpoint.json").exists()
