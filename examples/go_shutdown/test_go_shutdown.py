"""Two Go functions at a graceful termination: one ends its process, as documented, and one lets its handler return."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_scf_async import (
    Function,
    ScfRuntime,
    assert_finished,
    assert_log_order,
    assert_logged,
    assert_reclaimed,
    assert_reused,
    assert_signal_received,
    assert_user_exit,
)

pytestmark = pytest.mark.go


@pytest.fixture
def deploy(scf_runtime: ScfRuntime, tmp_path: Path):
    def deployed(package: str):
        return scf_runtime.deploy(package, runtime="Go1", environment={"OUT": str(tmp_path)})

    return deployed


@pytest.mark.parametrize("package", ["functions/exits", "functions/returns"])
def test_left_alone_both_write_all_rows(deploy: Callable[[str], Function], package: str):
    assert deploy(package).run({"rows": 5}) == 5


def test_an_exit_in_the_goroutine_of_the_signal_is_a_failure(deploy: Callable[[str], Function], tmp_path: Path):
    event = deploy("functions/exits").invoke_async({"rows": 1_000_000})
    event.wait_for_log("row 3")
    event.terminate(grace_shutdown=True)
    event.wait()

    assert_signal_received(event)
    assert_log_order(event, ["row 3", "stopping"])
    assert int((tmp_path / "checkpoint").read_text()) >= 3  # it cleaned up
    assert_user_exit(event)  # FAILED, 439, though it called os.Exit(0)
    assert_reclaimed(event)


def test_a_handler_that_returns_is_finished_and_its_instance_used_again(
    deploy: Callable[[str], Function], tmp_path: Path
):
    function = deploy("functions/returns")
    event = function.invoke_async({"rows": 1_000_000})
    event.wait_for_log("row 3")
    event.terminate(grace_shutdown=True)
    event.wait()

    assert_signal_received(event)
    assert_finished(event)
    assert event.result == int((tmp_path / "checkpoint").read_text())
    assert_logged(event, f"row {event.result}")
    assert_reused(event, by=function.invoke_async({"rows": 2}).wait())
