"""A runtime that is created under a ``freeze_time`` of the test starts at the frozen time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import freezegun
import pytest
from internals import REAL

from pytest_scf_async.clock import SimulatedClock
from pytest_scf_async.errors import ScfUsageError
from pytest_scf_async.options import ScfSettings
from pytest_scf_async.runtime import ScfRuntime

pytestmark = pytest.mark.interpreter

FROZEN = datetime(2020, 2, 2, 12, 0, 0, tzinfo=timezone.utc)
GIVEN = datetime(2031, 1, 1, tzinfo=timezone.utc)
NOW = """
    import datetime, time

    def main_handler(event, context):
        before = datetime.datetime.now(datetime.timezone.utc).isoformat()
        time.sleep(60)
        return [before, time.time()]
"""


@pytest.fixture
def frozen() -> Iterator[None]:
    with freezegun.freeze_time("2020-02-02 12:00:00", tz_offset=8):
        yield


@pytest.mark.usefixtures("frozen")
def test_handlers_and_the_test_are_at_the_frozen_time(deploy, tmp_path: Path) -> None:
    with ScfRuntime(base_temp=tmp_path, root=tmp_path) as runtime:
        assert runtime.clock.now == FROZEN
        assert runtime.clock.time() == time.time()

        assert deploy(NOW, to=runtime).run() == [FROZEN.isoformat(), runtime.clock.time()]
        assert runtime.clock.now == FROZEN + timedelta(seconds=60)


@pytest.mark.usefixtures("frozen")
def test_a_start_that_is_given_is_the_start() -> None:
    with ScfRuntime(ScfSettings(start=GIVEN)) as runtime, ScfRuntime(start=GIVEN) as another:
        assert runtime.clock.now == another.clock.now == GIVEN


def test_a_freeze_that_ticks_or_was_moved_is_read_where_it_stands() -> None:
    with freezegun.freeze_time("2020-02-02 12:00:00") as frozen:
        frozen.tick(timedelta(days=1))
        assert SimulatedClock().now == FROZEN + timedelta(days=1)
        with freezegun.freeze_time("2021-01-01", tick=True):
            assert datetime(2021, 1, 1, tzinfo=timezone.utc) <= SimulatedClock().now < FROZEN.replace(year=2022)


def test_a_start_before_1970_is_refused() -> None:
    moon = datetime(1969, 7, 20, tzinfo=timezone.utc)
    with pytest.raises(ScfUsageError, match=r"^start=.*1969.* \(ScfRuntime\(start=\.\.\.\)\) .*1970"):
        ScfRuntime(start=moon)
    with freezegun.freeze_time(moon), pytest.raises(ScfUsageError, match=r"1969.*1970"):
        ScfRuntime()


def test_within_patched_a_runtime_starts_at_the_time_that_the_test_sees() -> None:
    with ScfRuntime(start=GIVEN) as runtime, runtime.clock.patched():
        assert SimulatedClock().now == GIVEN


def test_after_a_freeze_a_runtime_starts_at_the_machines_time() -> None:
    with freezegun.freeze_time("2020-02-02"):
        pass

    assert abs(SimulatedClock().now_us - REAL.time_ns() // 1_000) < 3_600_000_000
