"""A signal interrupts a wait exactly as the real one: the handler runs at once, then the wait goes on for its rest."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from internals import Lockstep, Watchdog, event_of, state
from process_support import LONG, START, eventually, grow_impatient, state_of, user_lines

from pytest_scf_async.errors import CannotEndError
from pytest_scf_async.runtime import ScfRuntime

pytestmark = pytest.mark.interpreter

SLEEPER = """
    import os, signal, threading, time

    class Stop(Exception):
        pass

    def stamp(what):
        print(f"{time.time() - 1767225600:g} {what}")

    def on_term(signum, frame):
        stamp(f"enter {signal.Signals(signum).name}")
        act(signum, frame)
        stamp(f"leave {signal.Signals(signum).name}")

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, on_term)
        signal.signal(signal.SIGUSR1, on_term)
        try:
            time.sleep(100)
            stamp("slept")
        except Stop as stop:
            stamp(f"stopped by {stop}")
        return time.time()
"""


def sleeper(act: str) -> str:
    return SLEEPER + f"\n    def act(signum, frame):\n        {act}\n"


@pytest.mark.repeat
def test_a_sleep_goes_on_for_exactly_its_rest_when_the_handler_returns(deploy, runtime: ScfRuntime) -> None:
    event = deploy(sleeper("pass")).invoke_async()
    event.settle()
    for seconds in (30, 0.000001, 20):
        runtime.clock.advance(seconds)
        event.terminate(grace_shutdown=True)
        assert event.doing == "parked"

    assert event.wait().result == START.timestamp() + 100
    assert user_lines(event) == [
        "30 enter SIGTERM",
        "30 leave SIGTERM",
        "30 enter SIGTERM",
        "30 leave SIGTERM",
        "50 enter SIGTERM",
        "50 leave SIGTERM",
        "100 slept",
    ]


@pytest.mark.parametrize(("own", "end"), [(5, 100), (69.5, 100), (70, 100), (200, 230)])
def test_a_handler_may_sleep_itself_on_top_of_the_sleep_that_it_interrupted(
    deploy, runtime: ScfRuntime, own: float, end: float
) -> None:
    event = deploy(sleeper(f"time.sleep({own})")).invoke_async()
    event.settle()
    runtime.clock.advance(30)

    event.terminate(grace_shutdown=True)
    assert event.doing == "parked"
    assert [signal.left_at for signal in event.signals] == [None]

    assert event.wait().result == START.timestamp() + end
    assert user_lines(event) == ["30 enter SIGTERM", f"{30 + own:g} leave SIGTERM", f"{end:g} slept"]
    assert [signal.left_at for signal in event.signals] == [START + timedelta(seconds=30 + own)]


@pytest.mark.repeat
def test_signals_may_arrive_in_the_waits_of_their_own_handlers(deploy, runtime: ScfRuntime) -> None:
    event = deploy(sleeper("time.sleep(40)")).invoke_async()
    event.settle()
    for _ in range(3):
        runtime.clock.advance(10)
        event.terminate(grace_shutdown=True)

    assert event.wait().result == START.timestamp() + 100
    assert user_lines(event) == [
        "10 enter SIGTERM",
        "20 enter SIGTERM",
        "30 enter SIGTERM",
        "70 leave SIGTERM",
        "70 leave SIGTERM",
        "70 leave SIGTERM",
        "100 slept",
    ]


def test_an_exception_of_an_inner_handler_ends_the_outer_handlers_wait(deploy, runtime: ScfRuntime) -> None:
    source = (
        SLEEPER
        + """
    depth = 0
    def act(signum, frame):
        global depth
        depth += 1
        if depth == 2:
            raise Stop("the second")
        try:
            time.sleep(40)
        except Stop as stop:
            stamp(f"the first handler's sleep ended with {stop}")
    """
    )
    event = deploy(source).invoke_async()
    event.settle()
    runtime.clock.advance(10)
    event.terminate(grace_shutdown=True)
    runtime.clock.advance(10)
    event.terminate(grace_shutdown=True)

    assert event.wait().result == START.timestamp() + 100
    assert user_lines(event) == [
        "10 enter SIGTERM",
        "20 enter SIGTERM",
        "20 the first handler's sleep ended with the second",
        "20 leave SIGTERM",
        "100 slept",
    ]


def test_a_second_signal_raises_out_of_both_the_handler_and_the_sleep(deploy, runtime: ScfRuntime) -> None:
    source = (
        SLEEPER
        + """
    depth = 0
    def act(signum, frame):
        global depth
        depth += 1
        if depth == 2:
            raise Stop("impatience")
        time.sleep(40)
    """
    )
    event = deploy(source).invoke_async()
    event.settle()
    runtime.clock.advance(10)
    event.terminate(grace_shutdown=True)
    runtime.clock.advance(10)
    event.terminate(grace_shutdown=True)

    assert event.status == "FINISHED"
    assert user_lines(event) == ["10 enter SIGTERM", "20 enter SIGTERM", "20 stopped by impatience"]


def test_a_signal_that_user_code_sends_itself_runs_its_handler_at_once(deploy) -> None:
    event = deploy(
        """
        import os, signal, threading, time

        def stamp(what):
            print(f"{time.time() - 1767225600:g} {what}")

        def main_handler(event, context):
            signal.signal(signal.SIGUSR1, lambda *_: stamp("USR1"))
            os.kill(os.getpid(), signal.SIGUSR1)
            stamp("after kill")
            signal.raise_signal(signal.SIGUSR1)
            stamp("after raise_signal")

            def later():
                time.sleep(5)
                os.kill(os.getpid(), signal.SIGUSR1)
                time.sleep(1)
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

            threading.Thread(target=later).start()
            time.sleep(60)
            stamp("slept")
        """
    ).invoke_async()

    assert user_lines(event.wait()) == [
        "0 USR1",
        "0 after kill",
        "0 USR1",
        "0 after raise_signal",
        "5 USR1",
        "6 USR1",
        "60 slept",
    ]


def test_keyboard_interrupt_ends_a_sleep_as_it_does_outside(deploy) -> None:
    event = deploy(
        """
        import os, signal, threading, time

        def main_handler(event, context):
            def interrupt():
                time.sleep(7)
                os.kill(os.getpid(), signal.SIGINT)

            threading.Thread(target=interrupt).start()
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                return time.time()
        """
    ).invoke_async()

    assert event.wait().result == START.timestamp() + 7


def test_a_keyboard_interrupt_that_nobody_catches_ends_the_process(deploy) -> None:
    event = deploy(
        """
        import os, signal

        def main_handler(event, context):
            os.kill(os.getpid(), signal.SIGINT)
        """
    ).invoke_async()

    assert (event.wait().status, event.status_code) == ("FAILED", 439)
    assert user_lines(event)[-1] == "KeyboardInterrupt"


def test_the_frame_of_a_handler_is_the_line_of_user_code_that_waits(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        """
        import signal, time, traceback

        def on_term(signum, frame):
            print(frame.f_code.co_name, frame.f_lineno, frame.f_locals["local"])
            print([entry.name for entry in traceback.extract_stack(frame)][-2:])

        def waits(local):
            time.sleep(60)

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_term)
            waits("of the waiting function")
        """
    ).invoke_async()
    event.settle()
    event.terminate(grace_shutdown=True)

    assert user_lines(event) == ["waits 9 of the waiting function", "['main_handler', 'waits']"]


# -- threads and signals ---------------------------------------------------------------------------------------------


def test_a_signal_reaches_main_in_join_while_a_worker_sleeps(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        """
        import signal, threading, time

        stop = threading.Event()

        def stamp(what):
            print(f"{time.time() - 1767225600:g} {what}")

        def on_term(signum, frame):
            stamp(f"SIGTERM in {threading.current_thread().name}")
            stop.set()

        def work():
            while not stop.is_set():
                time.sleep(10)
            stamp("worker stops")

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_term)
            worker = threading.Thread(target=work)
            worker.start()
            worker.join()
            stamp("joined")
        """
    ).invoke_async()
    event.settle()
    runtime.clock.advance(25)

    event.terminate(grace_shutdown=True)
    event.wait()

    assert user_lines(event) == ["25 SIGTERM in MainThread", "30 worker stops", "30 joined"]


def test_a_signal_wakes_a_worker_that_waits_for_the_event_which_the_handler_sets(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        """
        import signal, threading, time

        stop = threading.Event()

        def stamp(what):
            print(f"{time.time() - 1767225600:g} {what}")

        def work():
            stamp(f"worker saw {stop.wait(1000)}")

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: (stamp("set"), stop.set()))
            workers = [threading.Thread(target=work) for _ in range(3)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(2000)
            stamp("joined")
        """
    ).invoke_async()
    event.settle()
    runtime.clock.advance(5)

    event.terminate(grace_shutdown=True)

    assert event.status == "FINISHED"
    assert user_lines(event) == ["5 set", "5 worker saw True", "5 worker saw True", "5 worker saw True", "5 joined"]


def test_a_signal_while_a_worker_computes_runs_the_handler_on_the_main_thread(deploy, make_runtime) -> None:
    runtime = make_runtime(compute_grace=0.05)
    event = deploy(
        """
        import signal, threading

        go_on = True

        def on_term(signum, frame):
            global go_on
            go_on = False
            print("SIGTERM in", threading.current_thread().name)

        def work():
            print("computes")
            while go_on:
                pass

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_term)
            worker = threading.Thread(target=work)
            worker.start()
            worker.join()
        """,
        to=runtime,
    ).invoke_async()
    event.wait_for_log("computes")
    grow_impatient(runtime)
    with pytest.raises(CannotEndError):
        event.settle()
    assert event.doing == "computing"
    grow_impatient(runtime, LONG)

    event.terminate(grace_shutdown=True, when="now")

    assert event.wait().status == "FINISHED"
    assert user_lines(event) == ["computes", "SIGTERM in MainThread"]


def test_who_sends_a_signal_goes_on_before_those_whom_the_handler_wakes(deploy) -> None:
    event = deploy(
        """
        import os, signal, threading, time
        from pytest_scf_async.python.patches import signals
        from pytest_scf_async.python.patches.time import _real_sched_yield

        real_kill = signals._real_kill

        def kill_and_let_others_run(pid, signum):
            real_kill(pid, signum)
            for _ in range(2000):
                _real_sched_yield()

        def main_handler(event, context):
            signals._real_kill = kill_and_let_others_run
            trace, happened = [], threading.Event()
            signal.signal(signal.SIGUSR1, lambda *_: (trace.append("handler"), happened.set()))

            def sends():
                time.sleep(1)
                os.kill(os.getpid(), signal.SIGUSR1)
                trace.append("sender")

            threads = [
                threading.Thread(target=sends),
                threading.Thread(target=lambda: (happened.wait(), trace.append("woken"))),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return trace
        """
    ).invoke_async()

    assert event.wait().result == ["handler", "sender", "woken"]


def test_an_exception_of_a_handler_leaves_a_condition_only_with_its_lock_taken_again(deploy, runtime) -> None:
    event = deploy(
        """
        import signal, threading, time

        class Stop(Exception):
            pass

        def on_term(signum, frame):
            print(f"{time.time() - 1767225600:g} SIGTERM")
            raise Stop

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_term)
            condition = threading.Condition()

            def work():
                with condition:
                    condition.notify()
                    time.sleep(10)

            try:
                with condition:
                    threading.Thread(target=work).start()
                    condition.wait()
            except Stop:
                return [time.time() - 1767225600, condition.acquire(blocking=False)]
        """
    ).invoke_async()
    event.settle()
    runtime.clock.advance(5)
    event.terminate(grace_shutdown=True)

    assert event.wait().result == [10, True]
    assert user_lines(event) == ["5 SIGTERM"]


def test_an_exception_of_a_handler_in_a_lock_leaves_the_lock_to_others(deploy, runtime) -> None:
    event = deploy(
        """
        import signal, threading, time

        class Stop(Exception):
            pass

        def on_term(signum, frame):
            raise Stop

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_term)
            lock, trace = threading.Lock(), []

            def work(name):
                with lock:
                    time.sleep(10)
                    trace.append([name, time.time() - 1767225600])

            threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
            threads[0].start()
            time.sleep(1)
            try:
                with lock:
                    trace.append("not reached")
            except Stop:
                trace.append(["stopped", time.time() - 1767225600])
            threads[1].start()
            for thread in threads:
                thread.join()
            return [trace, lock.locked()]
        """
    ).invoke_async()
    event.settle()
    runtime.clock.advance(5)
    event.terminate(grace_shutdown=True)

    assert event.wait().result == [[["stopped", 5], ["a", 10], ["b", 20]], False]


SAME_OBJECT = """
    import collections, queue, signal, threading, time

    rounds = 0

    def on_term(signum, frame):
        global rounds
        rounds += 1
        handle()

    {code}

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, on_term)
        threading.Thread(target=work, daemon=True).start()
        wait(event)
        return rounds
"""

SAME_OBJECTS = {
    "Lock": """
    lock = threading.Lock()
    def work():
        while True:
            with lock:
                time.sleep(1)
            time.sleep(0.25)
    def wait(times):
        for _ in range(times):
            with lock:
                pass
            time.sleep(0.5)
    def handle():
        with lock:
            pass
    """,
    "RLock": """
    lock = threading.RLock()
    def work():
        while True:
            with lock:
                with lock:
                    time.sleep(1)
            time.sleep(0.25)
    def wait(times):
        for _ in range(times):
            with lock:
                time.sleep(0.125)
            time.sleep(0.5)
    def handle():
        with lock, lock:
            pass
    """,
    "SimpleQueue": """
    items = queue.SimpleQueue()
    def work():
        while True:
            time.sleep(0.75)
            items.put("work")
    def wait(times):
        for _ in range(times):
            items.get()
    def handle():
        items.put("handler")
        items.get()
    """,
    "Condition with an RLock": """
    condition = threading.Condition()
    def work():
        while True:
            time.sleep(0.75)
            with condition:
                condition.notify_all()
    def wait(times):
        for _ in range(times):
            with condition:
                condition.wait()
    def handle():
        with condition:
            condition.notify()
            condition.wait(0.1)
    """,
    "Semaphore released by the handler": """
    semaphore = threading.Semaphore(0)
    def work():
        while True:
            time.sleep(0.75)
    def wait(times):
        deadline = time.monotonic() + times
        while time.monotonic() < deadline:
            semaphore.acquire(timeout=1)
    def handle():
        pass
    """,
    "Event": """
    event_ = threading.Event()
    def work():
        while True:
            time.sleep(0.75)
            event_.set()
    def wait(times):
        for _ in range(times):
            event_.wait()
            event_.clear()
    def handle():
        event_.is_set()
        event_.set()
    """,
}


SIGNALS = int(os.environ.get("SCF_STRESS", "60"))
"""How many a test sends, one every 0.3 seconds: after 25 of them they meet the threads where they did before."""


@pytest.mark.parametrize("kind", SAME_OBJECTS)
def test_a_handler_may_use_the_object_that_main_waits_on(deploy, runtime: ScfRuntime, kind: str) -> None:
    event = deploy(SAME_OBJECT.replace("{code}", SAME_OBJECTS[kind].strip())).invoke_async(3 * SIGNALS)
    event.settle()
    for _ in range(SIGNALS):
        event.terminate(grace_shutdown=True)
        runtime.clock.advance(0.3)

    assert event.doing == "parked"
    assert event.wait().result == SIGNALS


def test_a_signal_that_comes_together_with_the_turn_counts_once(deploy) -> None:
    source = """
        import signal, time
        from pytest_scf_async.python.patches.alarms import real_setitimer
        def again(signum, frame):  # once: an interval may be shorter than this takes on a busy machine
            real_setitimer(signal.ITIMER_REAL, 0.001)
        def main_handler(event, context):
            signal.signal(signal.SIGALRM, again)
            real_setitimer(signal.ITIMER_REAL, 0.001)
            for _ in range(300):
                time.sleep(1)
            signal.signal(signal.SIGALRM, lambda signum, frame: None)
            real_setitimer(signal.ITIMER_REAL, 0)
            time.sleep(1)
    """
    event = deploy(source).invoke_async().wait()
    assert event.duration == timedelta(seconds=301)
    assert "not repeatable" not in event.timeline
    assert event_of(event).instance is not None
    assert not event_of(event).instance.state.running


def test_other_signals_do_not_pass_for_the_sigterm_of_a_termination(deploy) -> None:
    source = """
        import signal, time
        from pytest_scf_async.python.patches.alarms import real_setitimer
        def again(signum, frame):  # once: an interval may be shorter than this takes on a busy machine
            real_setitimer(signal.ITIMER_REAL, 0.001)
        def main_handler(event, context):
            signal.signal(signal.SIGALRM, again)
            signal.signal(signal.SIGTERM, lambda signum, frame: print("term"))
            real_setitimer(signal.ITIMER_REAL, 0.001)
            time.sleep(100)
    """
    function = deploy(source)
    for _ in range(30):
        event = function.invoke_async()
        event.settle()
        event.terminate(grace_shutdown=True)
        assert event.status == "RUNNING", event.error
        assert event.signals[0].left_at is not None
        event.terminate()


LATE = """
    import ctypes, functools, os, signal, time
    from pytest_scf_async.python.scheduler.scheduler import scheduler

    class LatePoller:
        # Its first poll begins after a signal has come, with no bytecode in between to notice it.
        def __init__(self, poller):
            self.register, self.unregister, self.poll_again = poller.register, poller.unregister, poller.poll
            self.late = True

        def poll(self, timeout=None):
            if not self.late:
                return self.poll_again(timeout)
            self.late = False
            calls = [functools.partial(ctypes.CDLL(None).pause), functools.partial(self.poll_again, timeout)]
            return list(map(functools.partial.__call__, calls))[1]

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, lambda signum, frame: print("handled at", time.monotonic()))
        OWN_WAKEUP
        print("begins at", time.monotonic())
        scheduler.main.poller = LatePoller(scheduler.main.poller)
        time.sleep(60)
"""


@pytest.mark.parametrize(
    ("own_wakeup", "switched_off"),
    [
        pytest.param("", None, id="by the wakeup descriptor"),
        pytest.param("signal.set_wakeup_fd(os.pipe2(os.O_NONBLOCK)[1])", state.InstanceFact.POLLED, id="by a poke"),
    ],
)
def test_a_signal_after_the_interpreters_last_look_is_not_lost(
    deploy, monkeypatch: pytest.MonkeyPatch, own_wakeup: str, switched_off: state.InstanceFact | None
) -> None:
    # What would end the wait too, later: a check of the process, or only the poll that follows that check.
    if switched_off is None:
        monkeypatch.setattr(Watchdog, "_look_at", lambda *_: 0.0)
    else:
        apply = Lockstep.apply
        monkeypatch.setattr(Lockstep, "apply", lambda self, *of: of[1] is switched_off or apply(self, *of))
    event = deploy(LATE.replace("OWN_WAKEUP", own_wakeup)).invoke_async()
    event.settle()
    pid = event.instance.pid
    assert eventually(lambda: state_of(pid) == "S")  # in pause(): it is waiting in nothing else before

    event.terminate(grace_shutdown=True)

    begins, received = (line.rpartition(" ")[2] for line in user_lines(event))
    assert received == begins
    assert event.wait().duration == timedelta(seconds=60)


def test_a_sleep_whose_line_cannot_be_named_defers_no_signal(deploy, make_runtime) -> None:
    """The stack is at its limit there, in a sleep under a lease. What the sleep has set before is unset."""
    source = """
        import signal, sys, time

        def main_handler(event, context):
            handled = []
            signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
            depth = 0
            frame = sys._getframe()
            while frame is not None:
                depth, frame = depth + 1, frame.f_back
            before = sys.getrecursionlimit()
            time.sleep(1)  # from here on it has a lease
            for more in range(1, 40):
                try:
                    sys.setrecursionlimit(depth + more)
                    time.sleep(more)
                    place = "nowhere"
                except RecursionError as error:
                    sys.setrecursionlimit(before)
                    last = error.__traceback__
                    while last.tb_next is not None:
                        last = last.tb_next
                    place = last.tb_frame.f_code.co_name
                finally:
                    sys.setrecursionlimit(before)
                if place in ("describe_caller", "nowhere"):
                    signal.raise_signal(signal.SIGUSR1)
                    return place, handled
    """
    runtime = make_runtime(leases=True)
    assert deploy(source, to=runtime).run() == ["describe_caller", [1]]
