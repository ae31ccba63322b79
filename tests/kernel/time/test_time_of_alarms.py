"""``signal.alarm`` and ``setitimer(ITIMER_REAL)``: SIGALRM comes at exactly the simulated instant that was set."""

from __future__ import annotations

import signal
import textwrap
from datetime import timedelta

import pytest
from process_support import START, assert_end, grow_impatient, user_lines

from pytest_scf_async.runtime import ScfRuntime

pytestmark = pytest.mark.leases

COLD = ["START", "INIT 0ms"]
PRELUDE = """
import os, queue, signal, threading, time

class Stop(Exception):
    pass

def stamp(*what):
    print(f"{(time.time_ns() // 1_000 - 1_767_225_600_000_000) / 1_000_000:.12g}", *what)

def rang(signum, frame):
    stamp("rang in", frame.f_code.co_name)

def stops(signum, frame):
    raise Stop("the alarm")

"""


def handler(body: str, listener: str = "rang", rest: str = "") -> str:
    """The text of a handler: *listener* is what it does at SIGALRM."""
    lines = f"signal.signal(signal.SIGALRM, {listener})\n{textwrap.dedent(body)}"
    return f"{PRELUDE}def main_handler(event, context):\n{textwrap.indent(lines, '    ')}\n{textwrap.dedent(rest)}"


IDLE = "(0.0, 0.0)"


# -- when it comes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("armed", "at"),
    [
        ("signal.alarm(5)", "5"),
        ("signal.alarm(True)", "1"),
        ("signal.alarm(86_390)", "86390"),
        ("signal.setitimer(signal.ITIMER_REAL, 5)", "5"),
        ("signal.setitimer(signal.ITIMER_REAL, 0.1 + 0.2)", "0.3"),
        ("signal.setitimer(signal.ITIMER_REAL, 0.000001)", "1e-06"),
        ("signal.setitimer(signal.ITIMER_REAL, 1e-9)", "1e-06"),
        ("signal.setitimer(False, 1.25, 86_399)", "1.25"),
    ],
)
@pytest.mark.parametrize("leases", [True, False])
def test_the_signal_comes_exactly_when_it_is_due(deploy, make_runtime, armed: str, at: str, leases: bool) -> None:
    source = handler(f"""
        {armed}
        time.sleep(86_395)
        stamp("slept")
    """)
    event = deploy(source, to=make_runtime(leases=leases), timeout=86_400).invoke_async().wait()

    assert user_lines(event) == [f"{at} rang in main_handler", "86395 slept"]
    assert event.duration == timedelta(seconds=86_395)


def test_an_interval_comes_again_and_again_for_a_day(deploy) -> None:
    event = deploy(
        handler("""
        signal.setitimer(signal.ITIMER_REAL, 3_600, 3_600)
        time.sleep(86_399)
        stamp(signal.setitimer(signal.ITIMER_REAL, 0))
        """),
        timeout=86_400,
    ).invoke_async()

    event.wait()

    assert user_lines(event) == [
        *(f"{hour * 3_600} rang in main_handler" for hour in range(1, 24)),
        "86399 (1.0, 3600.0)",
    ]


@pytest.mark.parametrize(
    ("calls", "answers"),
    [
        ("signal.alarm(0)", "0"),
        ("signal.alarm(5), signal.alarm(7), signal.alarm(0), signal.alarm(0)", "(0, 5, 7, 0)"),
        ("signal.setitimer(0, 5, 2), signal.setitimer(0, 1.5)", "((0.0, 0.0), (5.0, 2.0))"),
        ("signal.setitimer(0, 1.5), signal.setitimer(0, 0), signal.getitimer(0)", f"({IDLE}, (1.5, 0.0), {IDLE})"),
        ("signal.setitimer(0, 5, 2), signal.alarm(3), signal.getitimer(0)", "((0.0, 0.0), 5, (3.0, 0.0))"),
        ("signal.setitimer(0, 0, 2), signal.getitimer(0)", "((0.0, 0.0), (0.0, 0.0))"),
        ("signal.setitimer(0, 0.2), signal.alarm(0)", "((0.0, 0.0), 1)"),
        ("signal.setitimer(0, 1.2), signal.alarm(0)", "((0.0, 0.0), 1)"),
        ("signal.setitimer(0, 1.5), signal.alarm(0)", "((0.0, 0.0), 2)"),
        ("signal.alarm(-1), signal.alarm(0)", "(0, 4294967295)"),
        ("signal.alarm(9), time.sleep(4), signal.getitimer(0), signal.alarm(0)", "(0, None, (5.0, 0.0), 5)"),
        ("signal.setitimer(0, 2, 10), time.sleep(5), signal.getitimer(0)", "((0.0, 0.0), None, (7.0, 10.0))"),
        ("signal.setitimer(0, 0.000003), signal.setitimer(0, -1e-9)", "((0.0, 0.0), (3e-06, 0.0))"),
    ],
)
def test_each_call_says_what_was_left_of_the_one_before(deploy, calls: str, answers: str) -> None:
    event = deploy(handler(f"print(({calls}))", "lambda *_: None")).invoke_async().wait()

    assert user_lines(event) == [answers]


REFUSED = [
    "signal.alarm(1.5)",
    "signal.alarm('x')",
    "signal.alarm(2**40)",
    "signal.alarm(-2**31 - 1)",
    "signal.setitimer(0, -1)",
    "signal.setitimer(0, 1, -1)",
    "signal.setitimer(0, float('nan'))",
    "signal.setitimer(0, 1, float('nan'))",
    "signal.setitimer(0, float('inf'))",
    "signal.setitimer(0, 1e20)",
    "signal.setitimer(0, 'x')",
    "signal.setitimer(0, None)",
    "signal.setitimer(0, 1, None)",
    "signal.setitimer(9, 1)",
    "signal.setitimer(0.0, 1)",
    "signal.getitimer(9)",
    "signal.getitimer('x')",
]


def refusals() -> list[str]:
    words = []
    for call in REFUSED:
        try:
            eval(call, {"signal": signal})  # noqa: S307
        except Exception as error:
            words.append(f"{call}: {type(error).__name__}: {error}")
    return words


def test_what_the_real_functions_refuse_is_refused_in_their_words_and_changes_nothing(deploy) -> None:
    event = deploy(
        handler(f"""
        signal.setitimer(0, 100, 50)
        for call in {REFUSED!r}:
            try:
                eval(call)
            except Exception as error:
                print(f"{{call}}: {{type(error).__name__}}: {{error}}")
        print(signal.getitimer(0))
        """)
    ).invoke_async()
    event.wait()

    expected = refusals()
    assert len(expected) == len(REFUSED)
    assert user_lines(event) == [*expected, "(100.0, 50.0)"]


def test_the_timers_of_processor_time_stay_real(deploy) -> None:
    event = deploy("""
        import signal, time
        def main_handler(event, context):
            seen = []
            signal.signal(signal.SIGVTALRM, lambda *_: seen.append("virtual"))
            signal.signal(signal.SIGPROF, lambda *_: seen.append("prof"))
            signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
            signal.setitimer(signal.ITIMER_PROF, 0.001)
            time.sleep(3600)
            while not seen:
                pass
            return seen, signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 900
    """).invoke_async()

    assert event.wait().result == [["prof"], True]
    assert event.duration == timedelta(hours=1)


@pytest.mark.parametrize("leases", [True, False])
def test_a_loop_of_sleeps_does_not_jump_over_it(deploy, make_runtime, leases: bool) -> None:
    source = handler("""
        signal.setitimer(signal.ITIMER_REAL, 250.5, 300)
        for _ in range(event):
            time.sleep(1)
        stamp("slept")
    """)
    seconds = 3_600 if leases else 600
    event = deploy(source, to=make_runtime(leases=leases), timeout=86_400).invoke_async(seconds).wait()

    rings = [f"{at + 0.5:g} rang in main_handler" for at in range(250, seconds, 300)]
    assert len(rings) >= 2
    assert user_lines(event) == [*rings, f"{seconds} slept"]


# -- what it meets ---------------------------------------------------------------------------------------------------

WAITS = {
    "sleep": "time.sleep(10)",
    "Lock.acquire": "threading.Timer(10, lock.release).start(); lock.acquire()",
    "pause": "while time.time() < began + 10: signal.alarm(5); signal.pause()",
    "sigtimedwait": "signal.sigtimedwait({signal.SIGUSR1}, 10)",
}
"""One of each kind: each other wait, and what a signal's handler does to it, is in the table of waits_table.py."""
WAIT = """
print("begins")
began = time.time()
lock = threading.Lock()
lock.acquire()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
signal.alarm(5)
try:
    {wait}
    stamp("over")
except Stop as stop:
    stamp("ended by", stop)
"""


@pytest.mark.parametrize("leases", [True, False])
@pytest.mark.parametrize("kind", WAITS)
def test_a_wait_goes_on_for_its_rest_when_the_handler_returns(deploy, make_runtime, kind: str, leases: bool) -> None:
    source = handler(WAIT.format(wait=WAITS[kind]), "lambda *_: stamp('rang')")
    event = deploy(source, to=make_runtime(leases=leases)).invoke_async().wait()

    begins, rang, *more, over = user_lines(event)
    assert (begins, rang, more) == ("begins", "5 rang", ["10 rang"] if kind == "pause" else [])
    assert over in ("10 over", "10.000001 over")


@pytest.mark.parametrize("kind", WAITS)
def test_a_wait_ends_with_the_exception_of_the_handler(deploy, kind: str) -> None:
    event = deploy(handler(WAIT.format(wait=WAITS[kind]), "stops")).invoke_async().wait()

    assert user_lines(event) == ["begins", "5 ended by the alarm"]


@pytest.mark.parametrize("leases", [True, False])
@pytest.mark.parametrize("kind", WAITS)
def test_without_a_handler_the_process_ends_when_it_is_due(deploy, make_runtime, kind: str, leases: bool) -> None:
    source = handler(WAIT.format(wait=WAITS[kind]), "signal.SIG_DFL")
    event = deploy(source, to=make_runtime(leases=leases)).invoke_async().wait()

    assert_end(event, "FAILED", 439, after=5, log=[*COLD, "begins", "ERROR 439", "END", "REPORT 5000ms"])
    assert "the process ended: killed by SIGALRM" in event.timeline


def test_where_it_is_ignored_nothing_happens_and_an_interval_is_over(deploy) -> None:
    event = deploy(
        handler(
            """
            signal.setitimer(signal.ITIMER_REAL, 5, 5)
            time.sleep(7)
            print(signal.getitimer(signal.ITIMER_REAL))
            signal.signal(signal.SIGALRM, rang)
            time.sleep(20)
            stamp("slept")
            """,
            "signal.SIG_IGN",
        )
    ).invoke_async()

    event.wait()

    assert user_lines(event) == ["(0.0, 5.0)", "27 slept"]


def test_a_blocked_one_comes_once_when_it_is_unblocked_and_the_interval_begins_anew(deploy) -> None:
    event = deploy(
        handler("""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        signal.setitimer(signal.ITIMER_REAL, 2, 2)
        time.sleep(7)
        print(signal.getitimer(signal.ITIMER_REAL), signal.sigpending())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        stamp(signal.getitimer(signal.ITIMER_REAL))
        time.sleep(4)
        stamp("slept")
        """)
    ).invoke_async()

    event.wait()

    pending, *rest = user_lines(event)
    assert pending.startswith("(0.0, 2.0) {<Signals.SIGALRM: 14>")
    in_main = "rang in main_handler"
    assert rest == ["7 rang in pthread_sigmask", "7 (1.0, 2.0)", f"8 {in_main}", f"10 {in_main}", "11 slept"]


def test_a_handler_may_set_it_again_and_wait_itself(deploy) -> None:
    event = deploy(
        handler(
            """
            signal.alarm(3)
            time.sleep(10)
            stamp("slept")
            """,
            "again",
            """
            left = 3
            def again(signum, frame):
                global left
                left -= 1
                stamp("enter", left)
                if left:
                    signal.alarm(2)
                    time.sleep(5)
                stamp("leave")
            """,
        )
    ).invoke_async()

    event.wait()

    assert user_lines(event) == ["3 enter 2", "5 enter 1", "7 enter 0", "7 leave", "10 leave", "10 leave", "10 slept"]


def test_one_that_was_cancelled_does_not_come_and_no_longer_counts(deploy) -> None:
    event = deploy(
        handler("""
        for _ in range(100):
            signal.alarm(5)
            time.sleep(4)
            signal.alarm(0)
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(10)
        stamp(signal.getitimer(signal.ITIMER_REAL))
        """)
    ).invoke_async()

    event.wait()

    assert user_lines(event) == ["410 (0.0, 0.0)"]


@pytest.mark.parametrize(("first", "order"), [("alarm", ["5 rang in", "5 woke"]), ("thread", ["5 woke", "5 rang in"])])
def test_at_one_instant_what_was_set_first_comes_first(deploy, first: str, order: list[str]) -> None:
    start = {
        "alarm": "signal.alarm(5); time.sleep(1); thread.start()",
        "thread": "thread.start(); time.sleep(1); signal.alarm(4)",
    }
    event = deploy(
        handler(f"""
        thread = threading.Thread(target=lambda: (time.sleep(5 - time.monotonic() % 3_600), stamp("woke")))
        {start[first]}
        time.sleep(7)
        """)
    ).invoke_async()

    event.wait()

    assert [line.replace(" main_handler", "") for line in user_lines(event)] == order


@pytest.mark.parametrize("leases", [True, False])
def test_a_loop_of_asyncio_receives_it(deploy, make_runtime, leases: bool) -> None:
    source = """
        import asyncio

        def main_handler(event, context):
            asyncio.run(main())

        async def main():
            loop, done = asyncio.get_running_loop(), asyncio.Event()
            loop.add_signal_handler(signal.SIGALRM, lambda: stamp("rang"))
            signal.setitimer(signal.ITIMER_REAL, 2, 3)
            await asyncio.sleep(9)
            stamp("slept")
            loop.add_signal_handler(signal.SIGALRM, done.set)
            signal.alarm(2)
            await asyncio.wait_for(done.wait(), 10)
            stamp("over")
    """
    runtime = make_runtime(leases=leases)
    event = deploy(PRELUDE + textwrap.dedent(source), to=runtime).invoke_async().wait()

    assert user_lines(event) == ["2 rang", "5 rang", "8 rang", "9 slept", "11 over"]


# -- threads, other processes, other events --------------------------------------------------------------------------


def test_it_comes_to_the_main_thread_whoever_set_it_and_whoever_sleeps(deploy) -> None:
    event = deploy(
        handler(
            """
        def work(number):
            if number == 1:
                signal.setitimer(signal.ITIMER_REAL, 2.5, 3)
            for _ in range(4):
                time.sleep(2)
                stamp("thread", number)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """,
            "lambda *_: stamp('rang on', threading.current_thread().name)",
        )
    ).invoke_async()

    event.wait()

    steps = [[f"{at} thread {number}" for number in range(3)] for at in (2, 4, 6, 8)]
    rang = [f"{at} rang on MainThread" for at in (2.5, 5.5)]
    assert user_lines(event) == [*steps[0], rang[0], *steps[1], rang[1], *steps[2], *steps[3]]


@pytest.mark.repeat
def test_it_is_received_at_once_although_user_code_has_a_wakeup_descriptor_of_its_own(deploy) -> None:
    event = deploy(
        handler("""
        signal.set_wakeup_fd(os.pipe2(os.O_NONBLOCK)[1])
        def work():
            for number in range(1, 100):
                time.sleep(1)
                stamp("woke")
        threading.Thread(target=work).start()
        signal.setitimer(signal.ITIMER_REAL, 0.5, 1)
        time.sleep(100)
        """)
    ).invoke_async()

    event.wait()

    rings = [f"{at + 0.5:g} rang in main_handler" for at in range(100)]
    woke = [f"{at} woke" for at in range(1, 100)]
    assert user_lines(event) == [line for pair in zip(rings, [*woke, ""], strict=True) for line in pair if line]


def test_it_interrupts_a_real_wait_which_time_passes(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        handler(
            """
        signal.alarm(5)
        pid = os.fork()
        if pid == 0:
            time.sleep(1000)
        try:
            os.waitpid(pid, 0)
        except Stop:
            stamp("ended")
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        """,
            "stops",
        )
    ).invoke_async()
    event.settle()
    assert event.doing == "held"

    runtime.clock.advance(10, past_held=True)

    assert event.wait().status == "FINISHED"
    assert user_lines(event) == ["5 ended"]


def test_it_interrupts_code_that_computes_for_ever(deploy, make_runtime) -> None:
    runtime = make_runtime(compute_grace=0.2)
    event = deploy(
        handler(
            """
        signal.setitimer(signal.ITIMER_REAL, 2, 3)
        stamp("computes")
        try:
            while True: sum(range(100))
        except Stop:
            stamp("ended")
        """,
            "second",
            """
        times = []
        def second(signum, frame):
            stamp("rang")
            times.append(1)
            if len(times) == 2:
                raise Stop
        """,
        ),
        to=runtime,
    ).invoke_async()
    event.wait_for_log("computes")
    grow_impatient(runtime)

    runtime.clock.advance(10, past_held=True)

    assert event.wait().status == "FINISHED", event.timeline
    assert user_lines(event) == ["0 computes", "2 rang", "5 rang", "5 ended"]
    assert [(line.time - START).total_seconds() for line in event.log if line.source == "Custom"] == [0, 2, 5, 5]


def test_a_fork_has_none_and_its_own_is_real(deploy) -> None:
    event = deploy(
        handler("""
        signal.alarm(100)
        pid = os.fork()
        if pid == 0:
            if signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0):
                signal.signal(signal.SIGALRM, lambda *_: os._exit(7))
                signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
                signal.pause()
            os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        print(signal.alarm(0))
        """)
    ).invoke_async()

    event.wait()

    assert user_lines(event) == ["7", "100"]


LATER = """
def main_handler(event, context):
    if event == "arm":
        signal.signal(signal.SIGALRM, LISTENER)
        signal.alarm(100)
    else:
        stamp("begins")
        time.sleep(200)
        stamp("ends")
"""


def test_one_of_an_event_before_comes_while_another_runs(deploy, runtime: ScfRuntime) -> None:
    function = deploy(PRELUDE + LATER.replace("LISTENER", "rang"))
    function.run("arm")
    event = function.invoke_async("wait").wait()

    assert user_lines(event) == ["0 begins", "100 rang in main_handler", "200 ends"]


@pytest.mark.parametrize(
    ("listener", "end"),
    [
        ("lambda *_: stamp('rang')", ("FINISHED", 200, ["150 rang", "150 begins", "350 ends"])),
        ("stops", ("FAILED", 430, [])),
        ("signal.SIG_DFL", ("FAILED", 439, [])),
        ("signal.SIG_IGN", ("FINISHED", 200, ["150 begins", "350 ends"])),
    ],
)
def test_one_that_was_due_between_two_events_comes_as_the_next_one_begins(
    deploy, runtime: ScfRuntime, listener: str, end: tuple[str, int, list[str]]
) -> None:
    function = deploy(PRELUDE + LATER.replace("LISTENER", listener))
    function.run("arm")
    runtime.clock.advance(150)
    event = function.invoke_async("wait").wait()

    assert (event.status, event.status_code, user_lines(event)) == end


def test_a_sigterm_and_an_alarm_interrupt_one_sleep(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        handler("""
        signal.signal(signal.SIGTERM, lambda *_: stamp("term"))
        signal.alarm(50)
        time.sleep(100)
        stamp("slept")
        """)
    ).invoke_async()
    event.settle()
    for _ in range(2):
        runtime.clock.advance(30)
        event.terminate(grace_shutdown=True)
    event.wait()

    assert user_lines(event) == ["30 term", "50 rang in main_handler", "60 term", "100 slept"]


MIXED = handler(
    """
        signal.setitimer(signal.ITIMER_REAL, 0.7, 1.1)
        jobs = queue.Queue()
        def work(number):
            while (job := jobs.get()) is not None:
                time.sleep(number + 0.5)
                print(number, job)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads: thread.start()
        for job in range(12):
            jobs.put(job)
            time.sleep(0.3)
        signal.pause()
        time.sleep(2)
        time.sleep(2)
        for _ in threads: jobs.put(None)
        for thread in threads: thread.join()
        signal.alarm(0)
        for _ in range(20): time.sleep(1)
""",
    "lambda *_: (stamp('rang'), time.sleep(0.25), stamp('back'))",
)


def test_every_run_is_the_same_with_leases_and_without(deploy, make_runtime) -> None:
    traces = []
    for leases in (True, False, True):
        event = deploy(MIXED, to=make_runtime(leases=leases), name="mixed").invoke_async().wait()
        assert event.status == "FINISHED"
        traces.append([line.partition(" MemUsage")[0] for line in event.timeline.splitlines()])

    assert traces[0] == traces[1] == traces[2]
    assert sum("rang" in line for line in traces[0]) > 5


def test_two_functions_whose_alarms_meet_take_turns(deploy, runtime: ScfRuntime) -> None:
    source = handler("""
        signal.setitimer(signal.ITIMER_REAL, event, 2)
        time.sleep(6.5)
    """)
    first, second = deploy(source, name="first").invoke_async(1), deploy(source, name="second").invoke_async(2)
    runtime.wait_all()

    assert user_lines(first) == [f"{at} rang in main_handler" for at in (1, 3, 5)]
    assert user_lines(second) == [f"{at} rang in main_handler" for at in (2, 4, 6)]
    assert runtime.clock.now == START + timedelta(seconds=6.5)
