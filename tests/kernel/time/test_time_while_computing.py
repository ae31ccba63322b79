"""A handler computes while the clock moves past it: its entries have the clock's time, which it sees itself, too."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import LONG, START, grow_impatient, user_lines

from pytest_scf_async.assertions import assert_stopped_within

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

LISTENER = """
    import signal, time
    stopping = False

    def on_sigterm(signum, frame):
        global stopping
        print(time.time())
        stopping = True

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, on_sigterm)
        for pause in event:
            time.sleep(pause)
        print("computes")
        while not stopping:
            pass
"""


@pytest.mark.parametrize("sleeps", [[], [3], [3, 4]], ids=["at once", "after a sleep", "after sleeps"])
def test_a_sigterm_to_a_handler_that_computes_has_the_time_of_the_clock(deploy, make_runtime, sleeps):
    runtime = make_runtime(compute_grace=0.05)
    event = deploy(LISTENER, to=runtime).invoke_async(sleeps)
    event.wait_for_log("computes")
    grow_impatient(runtime)
    runtime.clock.advance(60 - sum(sleeps), past_held=True)
    assert event.doing == "computing"

    event.terminate(grace_shutdown=True)
    event.wait()

    at = START + timedelta(seconds=60)
    (signal,) = event.signals
    assert (signal.sent_at, signal.entered_at, signal.left_at, event.ended_at) == (at, at, at, at)
    assert user_lines(event) == ["computes", str(at.timestamp())]
    assert [line.time for line in event.log if line.text == str(at.timestamp())] == [at]
    reported = [line for line in event.timeline.splitlines() if "  signal  " in line]
    assert [line.split()[0] for line in reported if "is called" not in line][1:] == ["+60"] * 3
    assert_stopped_within(event, seconds=0)


def test_what_a_handler_does_that_time_has_passed_has_the_time_that_it_sees(deploy, make_runtime, tmp_path):
    runtime = make_runtime(compute_grace=0.05)
    event = deploy(
        """
        import os, signal, time
        from pytest_scf_async.inside import record

        def main_handler(event, context):
            time.sleep(1)
            print("computes")
            while not os.path.exists(event):
                pass
            signal.signal(signal.SIGTERM, lambda signum, frame: None)
            record("seen")
            print(time.time())
            time.sleep(10)
        """,
        to=runtime,
    ).invoke_async(str(tmp_path / "go on"))
    event.wait_for_log("computes")
    grow_impatient(runtime)
    runtime.clock.advance(59, past_held=True)
    grow_impatient(runtime, LONG)
    (tmp_path / "go on").touch()
    event.wait_for_log(str(START.timestamp() + 60))

    at = START + timedelta(seconds=60)
    assert user_lines(event) == ["computes", str(at.timestamp())]
    assert [line.time for line in event.log if line.text == str(at.timestamp())] == [at]
    assert [record.time for record in event.records] == [at]
    (line,) = [line for line in event.timeline.splitlines() if "user code installed a SIGTERM handler" in line]
    assert line.split()[0] == "+60"
    assert event.wait().ended_at == at + timedelta(seconds=10)
