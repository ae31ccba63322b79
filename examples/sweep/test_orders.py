"""Terminates a handler at every point where it can be terminated; a moment chosen by hand finds nothing wrong."""

import json
from pathlib import Path

import pytest

from pytest_scf_async import Run, ScfRuntime, assert_terminated


def write_orders(inbox: Path):
    inbox.mkdir()
    for number in (1, 2):
        inbox.joinpath(f"order-{number}.json").write_text(json.dumps({"id": number, "price": 100 * number}))


def each_run(run: Run):
    write_orders(run.path / "inbox")
    run.path.joinpath("invoices").mkdir()
    yield {"INBOX": str(run.path / "inbox"), "INVOICES": str(run.path / "invoices")}


def test_a_termination_at_a_chosen_moment_does_not_find_the_bug(scf_runtime: ScfRuntime, tmp_path: Path):
    write_orders(tmp_path / "inbox")
    invoices = tmp_path / "invoices"
    invoices.mkdir()
    function = scf_runtime.deploy(
        "handlers/acknowledged_first.py:main_handler",
        environment={"INBOX": str(tmp_path / "inbox"), "INVOICES": str(invoices)},
    )
    event = function.invoke_async()
    event.wait_for_log("invoice 1 ")
    event.terminate()
    assert_terminated(event)
    function.run()

    assert sorted(path.name for path in invoices.iterdir()) == ["1.txt", "2.txt"]


def test_the_sweep_finds_the_line_before_which_an_order_is_lost(scf_runtime: ScfRuntime):
    function = scf_runtime.deploy("handlers/acknowledged_first.py:main_handler")
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")

    with pytest.raises(AssertionError, match=r"LOST: killed before acknowledged_first\.py:17\n"):
        sweep.assert_survives()
    assert [run.key for failure in sweep.failures for run in failure.runs] == [
        "forced@acknowledged_first.py:17#1",  # before the invoice of order 1 is written
        "forced@effect#3",  # when its file is there, and has no content yet
        "forced@acknowledged_first.py:17#2",
        "forced@effect#6",
    ]


def test_the_fixed_handler_loses_nothing_wherever_it_is_terminated(scf_runtime: ScfRuntime):
    function = scf_runtime.deploy("handlers/fixed.py:main_handler")
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")

    assert len(sweep.points) > 20
    sweep.assert_exactly_once()
