"""Any instance: a forced termination ends it, and calls return as soon as what they wait for has come."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from internals import Instance, Pool, Watchdog, lockstep_of, procfs
from process_support import (
    LONG,
    START,
    assert_reclaimed_for_good,
    eventually,
    grow_impatient,
    state_of,
    user_lines,
)

from pytest_scf_async.errors import CannotEndError

pytestmark = pytest.mark.once  # each case takes seconds, and the watching of instances is the same on all Pythons

PRINTS = {
    "a shell": """
        import subprocess
        def main_handler(event, context):
            subprocess.run(["sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); done"])
    """,
    "a slow shell": """
        import subprocess
        def main_handler(event, context):
            subprocess.run(["sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done"])
    """,
    "a Python child": r"""
        import subprocess, sys
        CODE = "import itertools, time\nfor i in itertools.count():\n    print('line', i)\n    time.sleep(0.0005)"
        def main_handler(event, context):
            subprocess.run([sys.executable, "-uc", CODE])
    """,
    "os.write": r"""
        import itertools, os
        def main_handler(event, context):
            for i in itertools.count():
                os.write(1, b"line %d\n" % i)
    """,
}
"""Handlers of which something prints without end."""

SLEEPS = {
    "a thread that holds the GIL": """
        import _thread, ctypes, select, subprocess
        def hold():
            ctypes.PyDLL(None).sleep(1000)
        def main_handler(event, context):
            child = subprocess.Popen(["sh", "-c", "while :; do echo; sleep 0.01; done"], stdout=subprocess.PIPE)
            _thread.start_new_thread(hold, ())
            while True:
                select.select([child.stdout], [], [])  # needs the GIL once it is over, and looks for it every 5 ms
                child.stdout.readline()
    """,
    "code in C that polls": """
        import ctypes
        def main_handler(event, context):
            libc = ctypes.CDLL(None)
            while True:
                libc.usleep(500)
    """,
}
"""Handlers whose threads sleep and wake up in real time without end."""

TURNS = """
    import queue, threading
    def main_handler(event, context):
        there, back = queue.Queue(), queue.Queue()
        def answer():
            while True:
                back.put(there.get())
        threading.Thread(target=answer).start()
        while True:
            there.put(1)
            back.get()
"""
"""A handler whose threads wake each other without end, at one instant."""

INIT = """
    while True:
        pass
    def main_handler(event, context):
        pass
"""
COMPUTES = """
    def main_handler(event, context):
        while True:
            pass
"""
STUCK = {**PRINTS, **SLEEPS, "threads in turns": TURNS, "an init": INIT, "computing": COMPUTES}


@pytest.mark.parametrize("handler", STUCK.values(), ids=STUCK)
@pytest.mark.parametrize("when", ["settled", "now"])
def test_a_forced_termination_ends_it(deploy, make_runtime, handler: str, when: str) -> None:
    runtime = make_runtime(compute_grace=0.05, real_timeout=0.5, real_limit=5)
    event = deploy(handler, to=runtime).invoke_async()
    if when == "now":
        event.run_to("init")

    event.terminate(when=when)

    assert (event.status, event.status_code) == ("ABORTED", 499)
    assert_reclaimed_for_good(event, "terminated")


@pytest.mark.parametrize("handler", STUCK.values(), ids=STUCK)
def test_a_graceful_one_sends_its_signal(deploy, make_runtime, handler: str) -> None:
    runtime = make_runtime(compute_grace=0.05, real_timeout=1, real_limit=LONG / 2)
    event = deploy(handler, to=runtime).invoke_async()

    event.terminate(grace_shutdown=True)

    assert [signal.disposition for signal in event.signals] == ["default"]
    assert (event.status, event.status_code) == ("FAILED", 439)


def test_a_forced_termination_ends_what_makes_no_progress_within_its_grace(deploy, make_runtime) -> None:
    runtime = make_runtime(compute_grace=LONG, real_timeout=0.05)
    event = deploy(COMPUTES, to=runtime).invoke_async()

    event.terminate()

    assert (event.status, event.status_code) == ("ABORTED", 499)


HOLDS = {name: handler for name, handler in {**PRINTS, **SLEEPS}.items() if name != "os.write"}


@pytest.mark.parametrize("handler", HOLDS.values(), ids=HOLDS)
def test_settle_ends_where_something_goes_on_without_end(deploy, make_runtime, handler: str) -> None:
    event = deploy(handler, to=make_runtime(compute_grace=0.1, real_limit=LONG / 2)).invoke_async()

    event.settle()

    assert event.doing == "held"


def test_it_fails_where_what_computes_writes_without_end(deploy, make_runtime) -> None:
    event = deploy(PRINTS["os.write"], to=make_runtime(real_timeout=1, real_limit=LONG)).invoke_async()

    with pytest.raises(CannotEndError, match=r"the event has not settled for 1 real second \(real_timeout"):
        event.settle()


@pytest.mark.parametrize("handler", PRINTS.values(), ids=PRINTS)
def test_wait_for_log_finds_a_line_among_lines_without_end(deploy, make_runtime, handler: str) -> None:
    event = deploy(handler, to=make_runtime(compute_grace=0.1, real_limit=LONG / 2)).invoke_async()

    event.wait_for_log("line 39")

    lines = user_lines(event)
    assert "line 39" in lines
    assert sum(map(len, lines)) < 1 << 20  # an instance that prints on is stopped, not read on


WAITS = {
    "a child": """
        import subprocess
        def main_handler(event, context):
            subprocess.run(["sleep", "1000"])
    """,
    "a child beside a sleep": """
        import subprocess, time
        def main_handler(event, context):
            subprocess.Popen(["sleep", "1000"])
            time.sleep(1000)
    """,
    "a read": """
        def main_handler(path, context):
            open(path).read(1)
    """,
}
"""Handlers that wait for something real which does not come; the payload is the path of a latch."""
SILENT = {**WAITS, **SLEEPS, "threads in turns": TURNS, "an init": INIT, "computing": COMPUTES}
SLEEPER = """
    import time
    def main_handler(event, context):
        time.sleep(60)
        return "slept"
"""


def grow_patient(runtime) -> None:
    """Have what follows take the time that it takes on a busy machine."""
    lockstep_of(runtime).settings = runtime.settings.replace("ScfSettings(...)", real_timeout=LONG, real_limit=2 * LONG)


def stuck_with_another(deploy, make_runtime, latch, handler: str, **settings: float):
    """An event that waited in vain, another one of the same runtime, and the error."""
    runtime = make_runtime(**settings)
    other = deploy(SLEEPER, to=runtime).invoke_async().settle()
    grow_impatient(runtime, 1, real_limit=2)
    stuck = deploy(handler, to=runtime).invoke_async(latch.path)
    with pytest.raises(CannotEndError) as refusal:
        stuck.wait()
    grow_patient(runtime)
    return runtime, stuck, other, str(refusal.value)


@pytest.mark.parametrize("handler", {**PRINTS, **SILENT}.values(), ids={**PRINTS, **SILENT})
def test_after_a_failed_wait_everything_else_goes_on(deploy, make_runtime, latch, handler: str) -> None:
    runtime, stuck, other, error = stuck_with_another(deploy, make_runtime, latch, handler, compute_grace=0.1)

    assert f"carry on without {stuck.request_id}: it stays stopped until a call waits for it" in error
    assert other.wait().result == "slept"
    runtime.clock.advance(3)
    assert runtime.clock.now == START + timedelta(seconds=63)
    assert deploy("def main_handler(event, context): return 1", to=runtime).run() == 1
    assert stuck.status == "RUNNING"
    grow_impatient(runtime)  # what is in its init has all of real_timeout to settle
    stuck.terminate()
    assert_reclaimed_for_good(stuck, "terminated")


@pytest.mark.parametrize("handler", SILENT.values(), ids=SILENT)
@pytest.mark.parametrize("compute_grace", [0.1, LONG])
def test_the_error_names_a_way_for_time_to_go_on(
    deploy, make_runtime, latch, handler: str, compute_grace: float
) -> None:
    # A child that works is progress, and bounds a call by the limit alone.
    runtime = make_runtime(real_timeout=1, real_limit=5, compute_grace=compute_grace)
    stuck = deploy(handler, to=runtime, timeout=100).invoke_async(latch.path)

    with pytest.raises(CannotEndError) as refusal:
        stuck.wait()

    grow_patient(runtime)
    ways = set(re.findall(r"scf_clock\.advance\((\d+|seconds)(, past_held=True)?\)", str(refusal.value)))
    ((seconds, past_held),) = ways
    runtime.clock.advance(100 if seconds == "seconds" else int(seconds), past_held=bool(past_held))
    assert (stuck.status, stuck.status_code) == ("FAILED", 450 if handler is INIT else 433)


@pytest.mark.parametrize("handler", SILENT.values(), ids=SILENT)
@pytest.mark.parametrize("compute_grace", [0.1, 5])  # less and more than real_timeout
def test_so_it_does_where_no_call_has_failed_yet(
    deploy, make_runtime, latch, handler: str, compute_grace: float
) -> None:
    runtime = make_runtime(real_timeout=1, compute_grace=compute_grace)
    stuck = deploy(handler, to=runtime, timeout=100).invoke_async(latch.path)

    runtime.clock.advance(100, past_held=True)

    assert (stuck.status, stuck.status_code) == ("FAILED", 450 if handler is INIT else 433)


def test_a_call_that_waits_for_it_lets_it_go_on(deploy, make_runtime, latch) -> None:
    runtime = make_runtime(real_limit=LONG)
    event = deploy(
        """
        def main_handler(path, context):
            open(path).read(1)
            return "read"
        """,
        to=runtime,
    ).invoke_async(latch.path)
    event.settle()
    grow_impatient(runtime)
    with pytest.raises(CannotEndError):
        event.wait()
    assert eventually(lambda: state_of(event.instance.pid) == "T")
    runtime.clock.advance(5)
    grow_impatient(runtime, LONG)

    latch.open()

    assert event.wait().result == "read"
    assert "gave up on it: it is stopped until a call waits for this event" in event.timeline


def test_all_that_a_call_gave_up_on_goes_on_when_all_are_waited_for(deploy, make_runtime, latch) -> None:
    runtime, stuck, other, _ = stuck_with_another(deploy, make_runtime, latch, WAITS["a read"])

    grow_impatient(runtime, 1)
    with pytest.raises(CannotEndError) as refusal:
        runtime.wait_all()

    assert "real_timeout" in str(refusal.value)
    assert f"carry on without {stuck.request_id}: it stays" in str(refusal.value)
    assert other.status == "RUNNING"
    assert other.wait().result == "slept"


def test_an_error_speaks_of_other_events_only_where_there_are_some(deploy, runtime, latch) -> None:
    event = deploy(WAITS["a read"]).invoke_async(latch.path).settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as refusal:
        event.wait()

    assert "go on without" not in str(refusal.value)
    assert event.doing == "held"
    assert "gave up on it: it is stopped until a call waits for this event" in event.timeline


def test_an_error_recommends_nothing_for_what_only_waits_for_time_beside_what_holds_it(
    deploy, make_runtime, latch
) -> None:
    *_, error = stuck_with_another(deploy, make_runtime, latch, WAITS["a read"])

    assert "is parked in sleep(60)" in error
    (advice,) = (line for line in error.splitlines() if line.startswith("What to do"))
    assert advice.endswith(
        "advance(86400, past_held=True) lets time pass regardless, up to the event's timeout; terminate() ends it."
    )


def test_an_error_says_which_event_a_call_gave_up_on_before(deploy, make_runtime, latch) -> None:
    runtime, stuck, _, _ = stuck_with_another(deploy, make_runtime, latch, WAITS["a read"])
    also_stuck = deploy(WAITS["a child"], to=runtime).invoke_async()

    grow_impatient(runtime, 1)
    with pytest.raises(CannotEndError) as refusal:
        also_stuck.wait()

    assert f"event {stuck.request_id} is stopped: a call gave up on it, and this one does not wait for it" in str(
        refusal.value
    )


def test_what_calls_look_at_grows_with_the_events_and_not_with_their_square(deploy, runtime, monkeypatch) -> None:
    looks = 0
    stirring = Pool.stirring

    def counted(pool: Pool) -> list[Instance]:
        nonlocal looks
        found = stirring(pool)
        looks += len(found)
        return found

    monkeypatch.setattr(Pool, "stirring", counted)
    function = deploy(SLEEPER)
    looks_of_one = []
    for number in (10, 40):
        looks = 0
        for event in [function.invoke_async() for _ in range(number)]:
            event.settle()
        for _ in range(10):
            runtime.clock.advance(5)
        runtime.wait_all()
        looks_of_one.append(looks / number)

    assert looks_of_one[1] < 2 * looks_of_one[0]


def test_what_gave_up_its_turn_takes_no_processor_time_from_what_runs_after_it(deploy, make_runtime) -> None:
    runtime = make_runtime(compute_grace=0.02)
    computes = deploy(COMPUTES, to=runtime).invoke_async()
    deploy("def main_handler(event, context): pass", to=runtime).run()
    before = procfs.cpu_ns(computes.instance.pid)

    other = deploy("sum(range(20_000_000))\ndef main_handler(event, context): pass\n", to=runtime).invoke_async()
    other.run_to("main_handler")

    used = procfs.cpu_ns(computes.instance.pid) - before
    assert used < procfs.cpu_ns(other.instance.pid) / 3


def test_the_error_at_the_real_limit_waits_until_it_has_received_the_waits(deploy, make_runtime, monkeypatch):
    """Two checks right after each other: the instance has not reported yet what it did while it moved the clock."""
    check, readings = Watchdog.check, iter((0,))

    def check_twice(watchdog, busy):
        check(watchdog, busy)
        check(watchdog, busy)

    def cpu_ns_with_a_tick_after_the_first_reading(pid):
        return next(readings, 4_000_000)

    monkeypatch.setattr(Watchdog, "check", check_twice)
    monkeypatch.setattr(procfs, "cpu_ns", cpu_ns_with_a_tick_after_the_first_reading)
    function = deploy(
        "import time\ndef main_handler(event, context):\n    while True: time.sleep(0.001)\n",
        to=make_runtime(real_limit=0.3),
    )
    event = function.invoke_async()

    with pytest.raises(
        CannotEndError,
        match=r"is making progress: its most frequent wait is sleep\(0\.001\) at "
        r"index\.py:3",
    ):
        event.wait()
