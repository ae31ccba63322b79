"""``scf_clock.running(rate=…)``: time flows while the test sits in a program that cannot be patched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from internals import REAL, event_of
from process_support import START, eventually, state_of, user_lines

from pytest_scf_async import ScfUsageError, SimulatedClock
from pytest_scf_async.runtime import ScfRuntime

if TYPE_CHECKING:
    from conftest import Deploy, MakeRuntime

pytestmark = pytest.mark.leases

SLEEPS = """
    import time

    def main_handler(event, context):
        for row in range(event["rows"]):
            time.sleep(60)
            print("row", row, time.time())
        return "done"
"""
LISTENS = """
    import signal, time

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, lambda signum, frame: print("stopping", time.time()))
        time.sleep(80_000)
        return "slept"
"""
SPINS = """
    def main_handler(event, context):
        print("spins")
        while True:
            pass
"""
HELD = """
    import os

    def main_handler(event, context):
        print("waits")
        with open(event["fifo"]) as file:
            file.read()
"""
SLEEPS_THEN = """
        import time
        for row in range(3):
            time.sleep(60)
            print("row", row)
"""


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def program(source: str) -> None:
    """Run a program that the test cannot patch; it ends when what it waits for in real time has come."""
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)


def test_events_run_while_the_test_sits_in_a_program(deploy: Deploy, runtime: ScfRuntime, tmp_path: Any) -> None:
    """The program waits for what the handler writes, and no call of the test brings it."""
    function = deploy(
        f"""
        import time

        def main_handler(event, context):
            time.sleep(60)
            open({str(tmp_path / "ready")!r}, "w").close()
            return time.time()
        """
    )
    event = function.invoke_async()
    with runtime.clock.running(rate=600):
        program(f"import os, time\nwhile not os.path.exists({str(tmp_path / 'ready')!r}): time.sleep(0.001)")
    assert event.result == START.timestamp() + 60
    assert event.duration == seconds(60)


def test_time_passes_at_the_rate(runtime: ScfRuntime) -> None:
    began = REAL.monotonic()
    with runtime.clock.running(rate=1000):
        assert eventually(lambda: runtime.clock.now >= START + seconds(50))
        assert REAL.monotonic() - began >= 0.05
    passed = (runtime.clock.now - START).total_seconds()
    assert passed <= (REAL.monotonic() - began) * 1000


def test_the_rate_is_one_unless_it_is_given(runtime: ScfRuntime) -> None:
    began = REAL.monotonic()
    with runtime.clock.running():
        assert eventually(lambda: runtime.clock.now >= START + seconds(0.05))
    assert seconds(0.05) <= runtime.clock.now - START <= seconds(REAL.monotonic() - began)


def test_on_leaving_the_clock_stands_and_instances_are_stopped(deploy: Deploy, runtime: ScfRuntime) -> None:
    event = deploy(SPINS).invoke_async()
    with runtime.clock.running(rate=0.001):
        assert eventually(lambda: user_lines(event) == ["spins"])
    assert event.instance is not None
    pid = event.instance.pid
    assert eventually(lambda: state_of(pid) == "T")
    now = runtime.clock.now
    program("")
    assert runtime.clock.now == now
    assert [thread.name for thread in threading.enumerate() if "pytest_scf_async" in thread.name] == []


def test_what_is_due_happens_at_its_time(deploy: Deploy, runtime: ScfRuntime) -> None:
    """However coarse real time is, events end when they should."""
    slept = deploy(SLEEPS).invoke_async({"rows": 100})
    timed_out = deploy(SLEEPS, timeout=90).invoke_async({"rows": 100})
    with runtime.clock.running(rate=1_000_000):
        runtime.wait_all()
    assert (slept.status, slept.duration) == ("FINISHED", seconds(6000))
    assert user_lines(slept)[99] == f"row 99 {START.timestamp() + 6000}"
    assert (timed_out.status_code, timed_out.duration) == (433, seconds(90))


def test_blocking_calls_wait_and_move_nothing(deploy: Deploy, runtime: ScfRuntime) -> None:
    event = deploy(SLEEPS).invoke_async({"rows": 2})
    began = REAL.monotonic()
    with runtime.clock.running(rate=1200):
        event.wait_for_log("row 0")
        assert REAL.monotonic() - began >= 0.05
        event.wait()
        assert REAL.monotonic() - began >= 0.1
        runtime.clock.advance(60)
        assert REAL.monotonic() - began >= 0.15
        runtime.wait_until(lambda: REAL.monotonic() - began >= 0.2, within=timedelta(days=1))
    assert (event.result, event.duration) == ("done", seconds(120))


def test_a_status_may_be_read_as_often_as_one_likes(deploy: Deploy, runtime: ScfRuntime) -> None:
    event = deploy(SLEEPS).invoke_async({"rows": 1})
    with runtime.clock.running(rate=600):
        while event.status == "RUNNING":
            pass
    assert event.duration == seconds(60)


def test_an_event_at_a_gate_holds_the_clock(deploy: Deploy, runtime: ScfRuntime, tmp_path: Any) -> None:
    os.mkfifo(tmp_path / "fifo")
    event = deploy(HELD + SLEEPS_THEN).invoke_async({"fifo": str(tmp_path / "fifo")})
    with runtime.clock.running(rate=100_000), ThreadPoolExecutor(1) as caller:
        gate = caller.submit(event.wait_for_log, "row 1")
        assert eventually(lambda: bool(event_of(event).gates) and event.doing == "held")
        now = runtime.clock.now  # stands, so the gate is there before any row can be
        (tmp_path / "fifo").write_text("go on")
        gate.result()
        assert runtime.clock.now == now + seconds(120)
        program("")
        assert runtime.clock.now == now + seconds(120)
        event.wait()
    assert event.ended_at == now + seconds(180)


def test_something_real_holds_the_clock(deploy: Deploy, runtime: ScfRuntime, tmp_path: Any) -> None:
    os.mkfifo(tmp_path / "fifo")
    event = deploy(HELD).invoke_async({"fifo": str(tmp_path / "fifo")})
    with runtime.clock.running(rate=100_000):
        assert eventually(lambda: user_lines(event) == ["waits"] and event.doing == "held")
        now = runtime.clock.now
        program("")
        assert runtime.clock.now == now
        (tmp_path / "fifo").write_text("go on")
        assert eventually(lambda: event.ended and runtime.clock.now > now)
        assert event.ended_at == now


def test_a_handler_that_computes_does_not(deploy: Deploy, make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(compute_grace=0.05)
    event = deploy(SPINS, to=runtime, timeout=3600).invoke_async()
    with runtime.clock.running(rate=100_000):
        event.wait()
    assert (event.status_code, event.duration) == (433, seconds(3600))


@pytest.mark.repeat
def test_terminate_while_time_flows(deploy: Deploy, runtime: ScfRuntime) -> None:
    function = deploy(LISTENS)
    gracefully, forced = function.invoke_async(), function.invoke_async()
    with runtime.clock.running(rate=1000):
        for event in (gracefully, forced):
            event.settle()
        assert eventually(lambda: runtime.clock.now > START + seconds(10))
        gracefully.terminate(grace_shutdown=True)
        forced.terminate()
        assert user_lines(gracefully)[0].startswith("stopping")
    gracefully.wait()
    assert (gracefully.result, gracefully.duration) == ("slept", seconds(80_000))
    assert (forced.status, forced.ended_at) == ("ABORTED", forced.transitions[-1][1])
    assert START + seconds(10) < forced.ended_at < START + seconds(80_000)


def test_events_accepted_while_time_flows(deploy: Deploy, runtime: ScfRuntime) -> None:
    function = deploy(SLEEPS)
    with runtime.clock.running(rate=10_000):
        for _ in range(3):
            assert function.run({"rows": 1}) == "done"
    assert [event.duration for event in runtime.events] == [seconds(60)] * 3


def test_with_the_test_on_the_clock_its_sleeps_take_their_time(runtime: ScfRuntime) -> None:
    began = REAL.monotonic()
    with runtime.clock.patched(), runtime.clock.running(rate=600):
        time.sleep(60)
        assert REAL.monotonic() - began >= 0.1
        assert time.time() >= START.timestamp() + 60
    with runtime.clock.patched():
        now = time.time()
        time.sleep(3600)
        assert time.time() == now + 3600


@pytest.mark.parametrize("leases", [True, False])
def test_there_are_no_leases(deploy: Deploy, make_runtime: MakeRuntime, leases: bool) -> None:
    runtime = make_runtime(leases=leases)
    event = deploy(SLEEPS, to=runtime).invoke_async({"rows": 1000})
    event.settle()
    began, now = REAL.monotonic(), runtime.clock.now_us
    with runtime.clock.running(rate=100):
        assert eventually(lambda: runtime.clock.now_us > now)
    assert runtime.clock.now_us - now <= (REAL.monotonic() - began) * 100e6


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [
        (0, r"running\(rate\) is 0; it must be a finite number above 0"),
        (-1.5, r"running\(rate\) is -1.5; it must be a finite number above 0"),
        (float("inf"), r"running\(rate\) is inf; it must be a finite number above 0"),
        (float("nan"), r"running\(rate\) is nan; it must be a finite number above 0"),
        (True, r"running\(rate\) is True of type bool; it must be simulated seconds per real second"),
        ("60", r"running\(rate\) is '60' of type str; it must be simulated seconds per real second"),
        (timedelta(seconds=1), r"running\(rate\) is .* of type timedelta; it must be"),
    ],
)
def test_rates_that_are_none(runtime: ScfRuntime, rate: Any, sentence: str) -> None:
    with pytest.raises(ScfUsageError, match=sentence):
        runtime.clock.running(rate=rate)


def test_time_flows_once(runtime: ScfRuntime, make_runtime: MakeRuntime) -> None:
    other = make_runtime()
    with runtime.clock.running(rate=60):
        with pytest.raises(ScfUsageError, match=r"running\(rate=5\): time already flows, in running\(rate=60\)"):
            runtime.clock.running(rate=5).__enter__()
        with other.clock.running(rate=1e-3):  # each runtime has its own clock
            assert eventually(lambda: runtime.clock.now >= START + seconds(1))
    assert other.clock.now < START + seconds(1)
    with runtime.clock.running(rate=60):
        pass


def test_a_clock_without_a_runtime_does_not_flow(make_runtime: MakeRuntime) -> None:
    with pytest.raises(ScfUsageError, match=r"running\(rate\): this clock belongs to no runtime"):
        SimulatedClock(START).running(rate=1)
    runtime = make_runtime()
    with runtime.clock.running(rate=1):
        runtime.close()
    with pytest.raises(ScfUsageError, match="or to one that is closed"):
        runtime.clock.running(rate=1)


def test_the_end_of_time(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    with runtime.clock.running(rate=1e300):
        assert eventually(lambda: runtime.clock.now.year == 9998)


def test_what_a_hook_raises_comes_out_on_leaving(tmp_path: Path) -> None:
    handler = tmp_path / "index.py"
    handler.write_text("def main_handler(event, context): pass\n")

    def ended(event: object) -> None:
        raise LookupError("of a hook")

    with ScfRuntime(start=START, on_event_ended=ended) as runtime:
        event = runtime.deploy(f"{handler}:main_handler").invoke_async()
        with pytest.raises(LookupError, match="of a hook"), runtime.clock.running(rate=60):
            assert eventually(lambda: event.ended)
        now = runtime.clock.now
        runtime.clock.advance(5)  # the runtime goes on
        assert runtime.clock.now == now + seconds(5)


def test_what_the_test_raises_comes_out(runtime: ScfRuntime) -> None:
    with pytest.raises(RuntimeError, match="of the test"), runtime.clock.running(rate=60):
        raise RuntimeError("of the test")
    runtime.clock.advance(5)
