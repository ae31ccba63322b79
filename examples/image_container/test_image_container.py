"""An image in a container of podman: stopped at a row, ended by its timeout, and gone with its test."""

import pytest

from pytest_scf_async import (
    ScfRuntime,
    SimulatedClock,
    assert_finished,
    assert_reused,
    assert_signal_received,
    assert_timed_out,
)

pytestmark = [
    pytest.mark.go,
    pytest.mark.podman,
    pytest.mark.filterwarnings("ignore:the container of .* cannot be traced"),  # as an ordinary user
]


def test_it_stops_at_a_row_and_says_how_far_it_came(scf_runtime: ScfRuntime, image: str):
    function = scf_runtime.deploy_image(image=image)
    event = function.invoke_async({"Rows": 100_000})
    event.wait_for_log("row 3")
    event.terminate(grace_shutdown=True)
    event.wait()

    assert_signal_received(event)
    assert_finished(event)
    assert 3 <= event.result["done"] < 100_000
    assert_reused(function.invoke_async({"Rows": 2}).wait())


def test_its_timeout_comes_when_the_clock_does(scf_runtime: ScfRuntime, scf_clock: SimulatedClock, image: str):
    event = scf_runtime.deploy_image(image=image, timeout=10).invoke_async({"Rows": 100_000})
    event.wait_for_log("row 1")
    scf_clock.advance(10)

    assert_timed_out(event)
