"""What a handler has in /tmp is lost when the platform takes its instance back. Does it matter?"""

from pathlib import Path

import pytest

from pytest_scf_async import (
    AsyncEvent,
    ScfSettings,
    SimulatedClock,
    assert_finished,
    assert_nothing_lost,
    assert_terminated,
    assert_timed_out,
)

pytestmark = pytest.mark.scf_function("handlers/report.py:main_handler", payload={"pages": 100})


@pytest.fixture
def scf_settings(scf_settings: ScfSettings, tmp_path: Path):
    return scf_settings.replace("scf_settings", environment={"OUT": str(tmp_path)})


def test_a_forced_termination_loses_the_draft(async_event: AsyncEvent, scf_clock: SimulatedClock, tmp_path: Path):
    scf_clock.advance(90)
    async_event.terminate()

    assert_terminated(async_event)
    assert async_event.instance is not None
    assert async_event.instance.lost_files == ("report.txt",)
    with pytest.raises(AssertionError, match=r"nothing left in /tmp; found 1 file: report\.txt"):
        assert_nothing_lost(async_event)
    assert not (tmp_path / "report.txt").exists()


@pytest.mark.scf_function(timeout=600)
def test_so_does_the_timeout(async_event: AsyncEvent):
    assert_timed_out(async_event.wait())
    with pytest.raises(
        AssertionError, match=r"likely cause: the instance was reclaimed \(.*\), and its /tmp was deleted"
    ):
        assert_nothing_lost(async_event)


def test_a_graceful_termination_leaves_it_the_time_to_publish(
    async_event: AsyncEvent, scf_clock: SimulatedClock, tmp_path: Path
):
    scf_clock.advance(90)
    async_event.terminate(grace_shutdown=True)

    assert_finished(async_event.wait(), result={"pages": 2})
    assert_nothing_lost(async_event)
    assert (tmp_path / "report.txt").read_text() == "page 1\npage 2\n"
