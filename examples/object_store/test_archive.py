"""What does a handler store, when, and is its manifest true when someone stops it?"""

from datetime import timedelta

import pytest

from pytest_scf_async import AsyncEvent, SimulatedClock, assert_finished, assert_signal_handled, assert_stopped_within

OBJECTS = {"a.txt": "first", "b.txt": "second", "c.txt": "third"}

pytestmark = pytest.mark.scf_function(
    "handlers/archive.py:main_handler",
    before_init="fakes.py:install",
    before_init_args={"objects": OBJECTS},
    payload={"bucket": "backups", "keys": list(OBJECTS)},
)


def uploads(event: AsyncEvent):
    return [record for record in event.records if record.name == "put"]


def test_all_objects_and_a_manifest_are_stored(async_event: AsyncEvent):
    assert_finished(async_event.wait(), result={"archived": 3, "complete": True})

    keys = [record.fields["key"] for record in uploads(async_event)]
    assert keys == ["archive/a.txt", "archive/b.txt", "archive/c.txt", "archive/manifest.json"]
    assert async_event.records[0].fields == {"region": "ap-guangzhou"}


def test_the_times_of_the_uploads_are_those_of_the_simulated_clock(async_event: AsyncEvent):
    async_event.wait()

    times = [record.time - async_event.started_at for record in uploads(async_event)]
    assert times == [timedelta(seconds=seconds) for seconds in (2, 4, 6, 8)]


def test_a_stop_in_the_middle_of_an_upload_loses_nothing(async_event: AsyncEvent, scf_clock: SimulatedClock):
    scf_clock.advance(3)  # the second upload is under way
    async_event.terminate(grace_shutdown=True)
    async_event.wait()

    assert_signal_handled(async_event)
    assert_stopped_within(async_event, seconds=3)
    assert async_event.result == {"archived": 2, "complete": False}
    assert uploads(async_event)[-1].fields == {
        "bucket": "backups",
        "key": "archive/manifest.json",
        "text": '["a.txt", "b.txt"]',
    }


@pytest.mark.scf_function(payload={"bucket": "backups", "keys": ["a.txt", "missing.txt"]})
def test_an_object_that_is_missing_is_an_error_of_the_handler(async_event: AsyncEvent):
    async_event.wait()

    assert async_event.status == "FAILED"
    assert async_event.error is not None
    assert "KeyError: 'missing.txt'" in str(async_event.error["stackTrace"])
