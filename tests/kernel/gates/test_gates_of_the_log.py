"""``wait_for_log``: an event stands right behind the statement that wrote the line, until the test lets it go on."""

from __future__ import annotations

import os
import re
from datetime import timedelta

import pytest
from internals import shown_timeline
from process_support import RECEIVED, START, assert_end, assert_reclaimed_for_good, short_log, user_lines

from pytest_scf_async.errors import CannotEndError, GateNotReachedError, ScfUsageError

pytestmark = pytest.mark.leases

LINES = int(os.environ.get("SCF_SOAK", "20"))
"""How many lines are waited for, one after the other; a number in the environment for a long run."""
ROWS = """
    import signal
    stopping = False
    def on_sigterm(signum, frame):
        global stopping
        print("signal")
        stopping = True
    def main_handler(event, context):
        global stopping
        stopping = False
        signal.signal(signal.SIGTERM, on_sigterm)
        for row in range(event["rows"]):
            print(f"row {row} ")
            if stopping:
                return row
        return "all"
"""
SLEEPER = """
    import time
    def main_handler(event, context):
        for row in range(event.get("rows", 5)):
            print("row", row)
            time.sleep(1)
        return "all"
"""


@pytest.mark.repeat
def test_a_signal_lands_at_the_very_print_that_the_test_waited_for_20_times_out_of_20(deploy):
    function = deploy(ROWS)

    for _ in range(20):
        event = function.invoke_async({"rows": 10_000})
        event.wait_for_log("row 500 ")
        assert event.doing == "gated"
        event.terminate(grace_shutdown=True)
        event.wait()

        assert event.result == 500
        assert user_lines(event)[-2:] == ["row 500 ", "signal"]
        assert short_log(event)[-6:] == ["row 500 ", RECEIVED, "signal", "RESPONSE 500", "END", "REPORT 0ms"]


@pytest.mark.repeat
def test_nothing_runs_between_the_line_and_what_the_test_does_next(deploy, tmp_path):
    event = deploy("""
        import pathlib
        def main_handler(event, context):
            print("at the gate")
            pathlib.Path(event).touch()
    """).invoke_async(str(tmp_path / "made"))

    event.wait_for_log("at the gate")
    assert not (tmp_path / "made").exists()
    event.settle()

    assert (tmp_path / "made").exists()
    assert event.status == "FINISHED"


REAL_WAITS = {
    "a real-time sleep in C code": "libc.usleep(number % 7 * 300)",
    "a pipe of its own": "os.write(ends[1], b'x'), os.read(ends[0], 1)",
    "a child": "subprocess.run(['true'])",
    "a connection": "ours.sendall(b'x'), ours.recv(1)",
}


@pytest.mark.repeat
@pytest.mark.parametrize("wait", REAL_WAITS)
def test_after_each_line_the_event_is_gated_though_another_thread_comes_back_from_a_real_wait(deploy, wait):
    event = deploy(f"""
        import ctypes, datetime, os, socket, subprocess, threading, time
        libc = ctypes.CDLL(None)
        ends = os.pipe()
        def answer(listening):
            theirs = listening.accept()[0]
            while data := theirs.recv(1):
                theirs.sendall(data)
        def main_handler(event, context):
            listening = socket.create_server(("127.0.0.1", 0))
            threading.Thread(target=answer, args=[listening], daemon=True).start()
            ours = socket.create_connection(listening.getsockname())
            def come_back():
                for number in range(event):
                    {REAL_WAITS[wait]}
                    if number % 3 == 0:
                        print("back", number)
                    time.sleep(0.5)
            thread = threading.Thread(target=come_back, daemon=True)
            thread.start()
            for row in range(event):
                print(f"row {{row}}:", datetime.datetime.now(datetime.timezone.utc).timestamp())
                time.sleep(0.25 if row % 2 else 0.5)
            thread.join()
    """).invoke_async(LINES)

    doing = []
    for row in range(LINES):
        event.wait_for_log(f"row {row}:")
        doing.append(event.doing)
        assert user_lines(event)[-1].startswith(f"row {row}:")

    assert doing == ["gated"] * LINES
    lines = [line for line in event.log if line.text.startswith("row ")]
    assert [line.time.timestamp() for line in lines] == [float(line.text.rpartition(" ")[2]) for line in lines]


def test_a_gate_moves_time_to_its_line_and_no_further(deploy, runtime):
    event = deploy(SLEEPER).invoke_async()

    event.wait_for_log("row 3")

    assert runtime.clock.now == START + timedelta(seconds=3)
    assert user_lines(event)[-1] == "row 3"


def test_a_pattern_may_be_a_regular_expression(deploy):
    event = deploy(SLEEPER).invoke_async()

    event.wait_for_log(re.compile(r"^ROW [3-9]$", re.IGNORECASE))

    assert user_lines(event)[-1] == "row 3"


def test_a_regular_expression_sees_the_line_without_its_end(deploy):
    event = deploy("""
        def main_handler(event, context):
            print("windows", end="\\r\\n")
            print("unix")
    """).invoke_async()

    event.wait_for_log(re.compile(r"windows$"))
    assert user_lines(event) == ["windows\r"]
    event.wait_for_log(re.compile(r"unix$"))


def test_a_count_is_counted_from_the_first_line_of_the_event(deploy):
    event = deploy(ROWS).invoke_async({"rows": 100})

    event.wait_for_log("row", count=3)
    assert user_lines(event)[-1] == "row 2 "
    event.wait_for_log("row", count=10)
    assert user_lines(event)[-1] == "row 9 "
    event.wait_for_log("row", count=4)
    assert user_lines(event)[-1] == "row 9 "


def test_a_line_that_is_there_already_is_no_gate(deploy, runtime):
    event = deploy(SLEEPER).invoke_async()
    event.wait_for_log("row 2")
    event.settle()
    assert event.doing == "parked"

    event.wait_for_log("row 1")

    assert event.doing == "parked"
    assert runtime.clock.now == START + timedelta(seconds=2)


def test_the_platforms_lines_are_lines_too(deploy):
    event = deploy(SLEEPER).invoke_async()

    event.wait_for_log("Init Report")
    assert user_lines(event) in ([], ["row 0"])
    event.wait_for_log("END RequestId")

    assert event.status == "FINISHED"


def test_one_gate_after_the_other_of_one_event(deploy):
    event = deploy(ROWS).invoke_async({"rows": 50})

    for row in range(0, 50, 7):
        event.wait_for_log(f"row {row} ")
        assert user_lines(event)[-1] == f"row {row} "

    assert event.wait().result == "all"


def test_a_line_in_two_writes_is_met_when_it_is_whole(deploy):
    event = deploy("""
        def main_handler(event, context):
            print("first half", end=" ")
            print("second half")
            print("after")
    """).invoke_async()

    event.wait_for_log("half second")

    assert user_lines(event) == ["first half second half"]


@pytest.mark.parametrize(
    "write",
    [
        "sys.stderr.write('marker\\n')",
        "sys.stdout.buffer.write(b'marker\\n')",
        "sys.stdout.write('marker\\nsame write\\n')",
        "print('marker', flush=True)",
        "logging.warning('marker')",
        "print('marker', end='\\r\\n')",
    ],
)
def test_every_python_stream_meets_a_gate_exactly(deploy, write):
    event = deploy(f"""
        import logging, sys
        def main_handler(event, context):
            {write}
            print("after")
    """).invoke_async()

    event.wait_for_log("marker")

    assert event.doing == "gated"
    assert "marker" in user_lines(event)[0]
    assert "after" not in user_lines(event)
    assert event.wait().status == "FINISHED"


@pytest.mark.parametrize(
    "write",
    [
        "open('/dev/stdout', 'w', 1).write('marker\\n')",
        "subprocess.run(['echo', 'marker'])",
        "os.system('echo marker >&2')",
    ],
)
def test_a_line_of_a_child_or_of_a_file_object_is_met_at_the_next_settling(deploy, write, runtime):
    event = deploy(f"""
        import os, subprocess, time
        def main_handler(event, context):
            {write}
            time.sleep(100)
    """).invoke_async()

    event.wait_for_log("marker")

    assert event.doing == "parked"
    assert (
        "stopped later than wait_for_log('marker'): the line was not written by print() or os.write()" in event.timeline
    )
    assert runtime.clock.now == START
    assert event.wait().status == "FINISHED"


def test_a_gate_that_is_never_reached_is_an_error_with_the_timeline(deploy):
    event = deploy(SLEEPER).invoke_async()

    with pytest.raises(GateNotReachedError) as refusal:
        event.wait_for_log("row 7")

    text = str(refusal.value)
    assert f"event {event.request_id} of index is FINISHED (200) and never reached wait_for_log('row 7')" in text
    assert text.endswith(f"---\n{shown_timeline(event)}")
    assert "row 4" in text


def test_a_gate_of_an_event_that_fails_on_the_way_is_an_error_with_the_stack(deploy):
    event = deploy("def main_handler(event, context): 1 / 0").invoke_async()

    with pytest.raises(GateNotReachedError, match=r"is FAILED \(430\) and never reached") as refusal:
        event.wait_for_log(re.compile("row"), count=2)

    assert "wait_for_log(re.compile('row'), count=2)" in str(refusal.value)
    assert "ZeroDivisionError" in str(refusal.value)


@pytest.mark.parametrize(
    ("pattern", "count", "why"),
    [
        ("row", 9, "5 lines contain it"),
        ("row 4", 2, "1 line contains it"),
        ("rows 4", 1, "no line contains it (a str is matched literally); the closest are 'row 0', 'row 1', 'row 4'"),
        (re.compile("^column"), 1, "no line contains it"),
        (r"row \d", 1, r"a str is matched literally: pass re.compile('row \\d'), which matches 'row 0'"),
    ],
)
def test_why_a_gate_of_the_log_is_never_reached(deploy, pattern, count, why):
    event = deploy(SLEEPER).invoke_async()

    with pytest.raises(GateNotReachedError) as refusal:
        event.wait_for_log(pattern, count=count)

    assert f"); {why}\n--- timeline, in simulated time from " in str(refusal.value)


def test_a_gate_on_an_event_that_has_ended_is_an_error_at_once(deploy):
    event = deploy(SLEEPER).invoke_async().wait()

    with pytest.raises(GateNotReachedError, match="never reached"):
        event.wait_for_log("row 9")


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", None])
def test_a_count_that_is_none_is_a_usage_error(deploy, count):
    event = deploy(SLEEPER).invoke_async()

    with pytest.raises(ScfUsageError, match=re.escape(f"count={count!r} is not valid: it must be a whole number")):
        event.wait_for_log("row", count=count)


@pytest.mark.parametrize("pattern", [b"row", None, 3, re.compile(b"row")])
def test_a_pattern_that_is_no_text_is_a_usage_error(deploy, pattern):
    event = deploy(SLEEPER).invoke_async()

    with pytest.raises(ScfUsageError, match="is not valid: it must be a str or a compiled pattern for str"):
        event.wait_for_log(pattern)


def test_another_event_may_run_while_one_stands_at_a_gate_as_long_as_no_time_has_to_move(deploy):
    function = deploy(SLEEPER)
    first, second = function.invoke_async(), function.invoke_async()
    first.wait_for_log("row 0")

    second.settle()

    assert (first.doing, second.doing) == ("gated", "parked")
    assert user_lines(second) == ["row 0"]


def test_a_call_on_another_event_that_needs_time_names_the_closed_gate(deploy, runtime):
    function = deploy(SLEEPER)
    first, second = function.invoke_async(), function.invoke_async()
    first.wait_for_log("row 0")

    with pytest.raises(CannotEndError) as refusal:
        second.wait()

    assert str(refusal.value) == (
        f"wait() on event {second.request_id} needs simulated time to pass, but event {first.request_id} is stopped at "
        "wait_for_log('row 0'): call wait(), settle() or another gate call on that event first, or terminate it"
    )
    assert runtime.clock.now == START
    assert first.doing == "gated"
    first.settle()
    assert second.wait().result == "all"


def test_a_gate_call_on_a_second_event_leaves_the_first_gate_closed(deploy):
    function = deploy(SLEEPER)
    first, second = function.invoke_async(), function.invoke_async()

    first.wait_for_log("row 0")
    second.wait_for_log("row 0")

    assert (first.doing, second.doing) == ("gated", "gated")
    with pytest.raises(CannotEndError, match=first.request_id):
        second.wait_for_log("row 1")


@pytest.mark.parametrize(
    "move",
    [
        lambda runtime: runtime.wait_all(),
        lambda runtime: runtime.clock.advance(100),
        lambda runtime: runtime.clock.move_to(START + timedelta(seconds=100)),
        lambda runtime: runtime.wait_until(lambda: all(event.ended for event in runtime.events), within=100),
    ],
    ids=["wait_all", "advance", "move_to", "wait_until"],
)
def test_calls_that_move_the_clock_for_all_open_all_gates(deploy, runtime, move):
    function = deploy(SLEEPER)
    first, second = function.invoke_async(), function.invoke_async()
    first.wait_for_log("row 0")
    second.wait_for_log("row 0")

    move(runtime)

    assert [event.status for event in (first, second)] == ["FINISHED", "FINISHED"]
    assert first.duration == second.duration == timedelta(seconds=5)


def test_settle_on_the_event_goes_on_from_its_gate(deploy, runtime):
    event = deploy(SLEEPER).invoke_async().wait_for_log("row 2")

    event.settle()

    assert event.doing == "parked"
    assert runtime.clock.now == START + timedelta(seconds=2)


def test_a_gate_does_not_end_a_settle_or_a_termination_of_the_same_event_early(deploy):
    event = deploy(ROWS).invoke_async({"rows": 100})
    event.wait_for_log("row 5 ")

    event.settle()

    assert (event.status, event.result) == ("FINISHED", "all")


@pytest.mark.repeat
def test_a_listener_that_raises_at_a_gate_ends_the_event_there(deploy):
    event = deploy("""
        import signal
        def on_sigterm(signum, frame):
            raise RuntimeError("stop")
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            for row in range(1000):
                print("row", row)
    """).invoke_async()
    event.wait_for_log("row 20")

    event.terminate(grace_shutdown=True)

    log = ["START", "INIT 0ms", *[f"row {row}" for row in range(21)], RECEIVED, "ERROR 430", "END", "REPORT 0ms"]
    assert_end(event, "FAILED", 430, log=log)
    assert_reclaimed_for_good(event, "raised")


def test_what_a_listener_raises_at_a_gate_can_be_caught_and_the_event_goes_on(deploy):
    event = deploy("""
        import signal, time
        class Stop(Exception):
            pass
        def on_sigterm(signum, frame):
            raise Stop
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            try:
                for row in range(1000):
                    print("row", row)
            except Stop:
                print("stopped after", row)
                time.sleep(1)
                print("saved")
                return row
    """).invoke_async()
    event.wait_for_log("row 20")

    event.terminate(grace_shutdown=True)

    assert user_lines(event)[-1] == "stopped after 20"
    assert event.doing == "parked"
    event.wait_for_log("saved")
    assert event.wait().result == 20


def test_a_listener_that_returns_at_a_gate_leaves_the_event_there(deploy):
    event = deploy(ROWS).invoke_async({"rows": 100})
    event.wait_for_log("row 5 ")

    event.terminate(grace_shutdown=True)

    assert event.doing == "gated"
    assert user_lines(event)[-1] == "signal"
    assert event.signals[0].left_at == START
    event.terminate(grace_shutdown=True)
    assert user_lines(event)[-2:] == ["signal", "signal"]
    assert event.wait().result == 5


def test_a_listener_that_sleeps_at_a_gate_sleeps_its_time_and_the_gate_opens_after_it(deploy):
    event = deploy("""
        import signal, time
        def on_sigterm(signum, frame):
            print("saving")
            time.sleep(3)
            print("saved")
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            print("at the gate")
            print("behind the gate")
    """).invoke_async()
    event.wait_for_log("at the gate")

    event.terminate(grace_shutdown=True)
    assert user_lines(event) == ["at the gate", "saving"]
    event.wait()

    assert user_lines(event) == ["at the gate", "saving", "saved", "behind the gate"]
    assert event.duration == timedelta(seconds=3)


def test_a_gate_in_a_listener_is_met_there(deploy, runtime):
    event = deploy("""
        import signal, time
        def on_sigterm(signum, frame):
            time.sleep(4)
            print("saving 1")
            print("saving 2")
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            time.sleep(10)
            print("slept")
            return "done"
    """).invoke_async()
    event.terminate(grace_shutdown=True)

    event.wait_for_log("saving 1")

    assert (event.doing, user_lines(event)) == ("gated", ["saving 1"])
    assert runtime.clock.now == START + timedelta(seconds=4)
    assert event.wait().duration == timedelta(seconds=10)
    assert user_lines(event) == ["saving 1", "saving 2", "slept"]


def test_a_forced_termination_at_a_gate_runs_nothing_more(deploy):
    event = deploy(ROWS).invoke_async({"rows": 100})
    event.wait_for_log("row 5 ")

    event.terminate()

    assert user_lines(event)[-1] == "row 5 "
    assert (event.status, event.status_code) == ("ABORTED", 499)


def test_nothing_listens_at_a_gate(deploy):
    event = deploy(SLEEPER).invoke_async().wait_for_log("row 1")

    event.terminate(grace_shutdown=True)

    log = ["START", "INIT 0ms", "row 0", "row 1", RECEIVED, "ERROR 439", "END", "REPORT 1000ms"]
    assert_end(event, "FAILED", 439, after=1, log=log)


def test_a_thread_that_stands_at_a_gate_does_not_stop_the_signal_on_the_main_thread(deploy):
    event = deploy("""
        import signal, threading
        def work():
            for row in range(100):
                print("row", row)
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: print("on", threading.current_thread().name))
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            return "joined"
    """).invoke_async()
    event.wait_for_log("row 10")
    assert user_lines(event)[-1] == "row 10"

    event.terminate(grace_shutdown=True)

    assert user_lines(event)[-2:] == ["row 10", "on MainThread"]
    assert event.doing == "gated"
    assert event.wait().result == "joined"
    assert user_lines(event)[-1] == "row 99"


def test_a_gate_on_a_warm_instance_is_as_exact(deploy):
    function = deploy(ROWS)
    function.run({"rows": 3})

    event = function.invoke_async({"rows": 1000})
    event.wait_for_log("row 700 ")

    assert user_lines(event)[-1] == "row 700 "
    assert not event.instance.cold


def test_a_gate_left_over_from_one_event_does_not_stop_the_next(deploy):
    function = deploy(ROWS)
    first = function.invoke_async({"rows": 3})
    with pytest.raises(GateNotReachedError):
        first.wait_for_log("row 5 ")

    assert function.run({"rows": 10}) == "all"


def test_the_end_of_a_runtime_does_not_wait_for_a_gate(deploy, make_runtime):
    runtime = make_runtime()
    event = deploy(ROWS, to=runtime).invoke_async({"rows": 100}).wait_for_log("row 5 ")

    runtime.close()

    assert not event.instance.alive
