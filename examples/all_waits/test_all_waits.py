"""A day of threads, asyncio, an alarm, HTTP requests and children: twice the same, and stopped anywhere."""

import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pytest_scf_async import (
    Function,
    ScfRuntime,
    ScfSettings,
    SimulatedClock,
    assert_finished,
    assert_signal_received,
    assert_stopped_within,
)

MIDNIGHT = datetime(2026, 1, 1, tzinfo=timezone.utc)
HANDLER = "handlers/station.py:main_handler"


@pytest.fixture
def scf_settings():
    return ScfSettings(start=MIDNIGHT, stop_noise=10)  # how quick its children are is up to this machine


class Sensors(BaseHTTPRequestHandler):
    """The sensors; from 4 to 6 o'clock they are out of order."""

    def do_GET(self):
        sensor, hour = self.path.strip("/").split("/")
        out_of_order = 4 <= int(hour) < 7
        self.send_response(503 if out_of_order else 200)
        self.end_headers()
        if not out_of_order:
            self.wfile.write(str(len(sensor) * int(hour)).encode())

    def log_message(self, format: str, *args: object):  # noqa: A002  (its name in the class above)
        pass


@pytest.fixture(scope="module")
def sensors():
    """Where the sensors are: a server in the process of the test, in real time."""
    with HTTPServer(("127.0.0.1", 0), Sensors) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def station(scf_runtime: ScfRuntime, sensors: str):
    return scf_runtime.deploy(HANDLER, environment={"SENSORS": sensors})


def test_a_day(station: Function):
    began = time.perf_counter()
    event = station.invoke_async({}).wait()
    took = time.perf_counter() - began

    assert_finished(event, result={"hours": 21, "stopped": False})
    assert event.duration is not None
    assert timedelta(hours=23, minutes=50) < event.duration < timedelta(hours=24)
    log = [line.text for line in event.log if line.source == "Custom"]
    assert log[:2] == ["00:30 half of hour 0 is over", "00:50 hour 0: north 0, south 0, east 0"]
    assert "06:10 no reading for two hours" not in log
    assert "05:10 no reading for two hours" in log  # the last reading was at 03:10
    assert "07:50 hour 7: north 35, south 35, east 28" in log
    assert log[-1] == "23:55 the dish still turns"
    assert took < 60  # about one real second: the work of 72 requests and 21 child processes


def test_two_days_are_the_same(sensors: str):
    logs: list[list[tuple[datetime, str]]] = []
    for _ in range(2):
        with ScfRuntime(ScfSettings(start=MIDNIGHT), lookup=[Path(__file__).parent]) as runtime:
            event = runtime.deploy(HANDLER, environment={"SENSORS": sensors}).invoke_async({}).wait()
            logs.append([(line.time, line.text) for line in event.log if line.source == "Custom"])

    assert logs[0] == logs[1]
    assert len(logs[0]) > 50


@pytest.mark.parametrize(
    ("after", "hours", "within"),
    [
        pytest.param(timedelta(minutes=2), 1, 0, id="before the second request"),
        pytest.param(timedelta(minutes=20), 1, 0, id="waiting for readings"),
        pytest.param(timedelta(hours=1, minutes=55), 2, 0, id="waiting for the next hour"),
        pytest.param(timedelta(hours=5, minutes=30), 4, 0, id="after the alarm"),
        pytest.param(timedelta(hours=20, minutes=52), 18, 180, id="turning the dish"),
        pytest.param(timedelta(hours=23, minutes=54), 21, 61, id="turning it for the last time"),
    ],
)
def test_stopped_at_some_point_of_the_day(
    station: Function, scf_clock: SimulatedClock, after: timedelta, hours: int, within: int
):
    event = station.invoke_async({})
    scf_clock.advance(after)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert_signal_received(event)
    assert_stopped_within(event, seconds=within)
    assert_finished(event, result={"hours": hours, "stopped": True})


@pytest.mark.parametrize("minute", range(11, 24 * 60, 163))
def test_stopped_at_whatever_minute(station: Function, scf_clock: SimulatedClock, minute: int):
    event = station.invoke_async({})
    scf_clock.advance(timedelta(minutes=minute))
    event.terminate(grace_shutdown=True)
    event.wait()

    assert_stopped_within(event, seconds=300)  # the longest turn of the dish
    assert event.result["stopped"]


def test_stopped_just_before_a_child_is_started(station: Function):
    event = station.invoke_async({})
    event.run_to("pack#3")
    event.terminate(grace_shutdown=True)
    event.wait()

    assert_stopped_within(event, seconds=0)
    assert_finished(event, result={"hours": 3, "stopped": True})
