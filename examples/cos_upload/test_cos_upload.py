"""A function that COS triggers: uploads, removals, a message that comes twice, and an object that is late."""

from pathlib import Path

import pytest

from pytest_scf_async import Function, ScfRuntime, assert_finished, assert_logged


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """In the place of the bucket."""
    (tmp_path / "a.csv").write_text("1\n2\n")
    return tmp_path


@pytest.fixture
def index(scf_runtime: ScfRuntime, store: Path) -> Function:
    return scf_runtime.deploy("handlers/index.py:main_handler", environment={"STORE": str(store)}, async_run=False)


def test_an_upload_and_a_removal(index: Function):
    uploaded = index.trigger("cos", bucket="reports", key="a.csv").wait()
    assert_finished(uploaded, result={"a.csv": 2})
    assert_logged(uploaded, "a.csv has 2 lines")

    removed = index.trigger("cos", bucket="reports", key="a.csv", event="cos:ObjectRemove:Delete").wait()
    assert_finished(removed, result={})


def test_a_message_that_comes_twice_counts_once(index: Function):
    for _ in range(2):
        assert_finished(index.trigger("cos", bucket="reports", key="a.csv").wait(), result={"a.csv": 2})


def test_an_object_that_is_late_is_read_by_the_next_attempt(index: Function, scf_runtime: ScfRuntime, store: Path):
    event = index.trigger("cos", bucket="reports", key="late.csv")
    scf_runtime.clock.advance(30)
    (store / "late.csv").write_text("1\n")

    assert_finished(event.wait(), result={"late.csv": 1})
    assert event.retry_num == 1
