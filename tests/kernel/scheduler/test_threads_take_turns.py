"""Threads of a handler: one computes at a time, by due time, beginning and thread; joins are on simulated time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from process_support import user_lines

from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

PRELUDE = """
    import _thread, concurrent.futures, queue, signal, sys, threading, time

    def now():
        return round((time.time_ns() - 1767225600_000_000_000) / 1e9, 6)

    def stamp(*what):
        print(f"{now():g}", *what)

    def together(*functions, join=True):
        threads = [threading.Thread(target=function) for function in functions]
        for thread in threads:
            thread.start()
        for thread in threads if join else ():
            thread.join()
        return threads
"""


@pytest.fixture
def run(deploy):
    """Run a handler whose file begins with PRELUDE; give its event, which has ended FINISHED."""

    def run_it(body: str, payload: Any = None, **options: Any):
        unused = "" if "concurrent." in body else " concurrent.futures,"  # which takes longer than what most bodies do
        event = deploy(PRELUDE.replace(unused, "", 1) + body, **options).invoke_async(payload)
        event.wait()
        assert event.status == "FINISHED", str(event.log)
        return event

    return run_it


# -- order -----------------------------------------------------------------------------------------------------------


def test_woken_threads_go_in_order_of_due_time_then_of_beginning(run) -> None:
    event = run("""
    def main_handler(event, context):
        order = []
        def sleeper(name, *naps):
            def run():
                for nap in naps:
                    time.sleep(nap)
                order.append(name)
            return run
        naps = {"c": [3], "a": [1], "d": [1, 2], "b": [2], "e": [3], "f": [2, 1]}
        together(*[sleeper(name, *naps[name]) for name in naps])
        return order
    """)

    assert event.result == ["a", "b", "c", "e", "d", "f"]


@pytest.mark.repeat
def test_a_counter_without_a_lock_loses_nothing_because_one_thread_computes_at_a_time(run) -> None:
    event = run("""
    counter = 0

    def main_handler(event, context):
        sys.setswitchinterval(1e-6)
        def work():
            global counter
            for _ in range(30):
                for _ in range(300):
                    value = counter
                    for _ in range(3):
                        pass
                    counter = value + 1
                time.sleep(0.5)
        together(*[work] * 8)
        return counter
    """)

    assert event.result == 8 * 30 * 300


def test_the_interleaving_of_threads_is_the_order_of_their_waits(run) -> None:
    event = run("""
    def main_handler(event, context):
        trace = []
        def work(name, nap):
            def run():
                for index in range(3):
                    trace.append(f"{name}{index}")
                    time.sleep(nap)
            return run
        together(work("a", 2), work("b", 3), work("c", 2))
        return " ".join(trace)
    """)

    assert event.result == "a0 b0 c0 a1 c1 b1 a2 c2 b2"


def test_waits_that_began_at_one_instant_end_in_the_order_of_their_threads(run) -> None:
    event = run("""
    import asyncio, os, select

    WAITS = [
        lambda: time.sleep(30),
        lambda: threading.Event().wait(30),
        lambda: threading.Semaphore(0).acquire(timeout=30),
        lambda: sleeper.join(30),
        lambda: select.select([], [], [], 30),
        lambda: select.poll().poll(30_000),
        lambda: asyncio.run(asyncio.sleep(30)),
        lambda: signal.sigtimedwait([signal.SIGUSR1], 30),
    ]

    sleeper = threading.Thread(target=time.sleep, args=(1000,))

    def main_handler(event, context):
        trace, (out, into) = [], os.pipe()
        sleeper.start()
        def first():
            for wait in WAITS:
                os.read(out, 1)
                wait()
                trace.append("first")
        def second():
            for wait in WAITS:
                os.write(into, b"!")
                wait()
                trace.append("second")
        together(first, second)
        return trace
    """)

    assert event.result == ["first", "second"] * 8


def test_a_started_thread_waits_until_its_starter_waits_which_the_next_start_is(run) -> None:
    event = run("""
    def main_handler(event, context):
        trace = []
        first = threading.Thread(target=lambda: trace.append("first"))
        first.start()
        trace.append("main after the first start")
        second = threading.Thread(target=lambda: trace.append("second"))
        second.start()
        sum(range(100_000))
        trace.append("main after the second start")
        assert second.is_alive()
        time.sleep(0.000001)
        assert not first.is_alive() and not second.is_alive()
        return trace
    """)

    assert event.result == ["main after the first start", "first", "main after the second start", "second"]


def test_a_thread_that_was_started_by_the_low_level_call_waits_its_turn_too(run) -> None:
    event = run("""
    def main_handler(event, context):
        trace = []
        def work(name, *, last="x"):
            trace.append(name + last)
            time.sleep(5)
            trace.append(now())
        _thread.start_new_thread(work, ("a",))
        _thread.start_new_thread(work, ("b",), {"last": "y"})
        trace.append("main")
        time.sleep(6)
        return trace
    """)

    assert event.result == ["main", "ax", "by", 5.0, 5.0]


def test_threads_start_threads(run) -> None:
    event = run("""
    def main_handler(event, context):
        trace = []
        def tree(depth, path):
            trace.append(path)
            time.sleep(1)
            if depth:
                together(*[lambda branch=branch: tree(depth - 1, path + branch) for branch in "lr"])
            trace.append(path.upper() + str(now()))
        tree(3, "")
        return trace
    """)

    paths = ["", "l", "r", "ll", "lr", "rl", "rr", *[a + b + c for a in "lr" for b in "lr" for c in "lr"]]
    assert sorted(event.result[:15], key=lambda path: (len(path), path)) == paths
    assert sorted(event.result[:15], key=len) == event.result[:15]
    assert sorted(event.result[15:]) == sorted(path.upper() + "4.0" for path in paths)
    assert event.result[-1] == "4.0"


def test_two_hundred_threads_sleep_and_are_joined(run) -> None:
    event = run("""
    def main_handler(event, context):
        done = []
        def work(number):
            time.sleep(number % 7)
            time.sleep((number * 13) % 11)
            done.append((now(), number))
        together(*[lambda number=number: work(number) for number in range(200)])
        return done == sorted(done, key=lambda pair: pair[0]), len(done), now(), threading.active_count()
    """)

    assert event.result == [True, 200, 16.0, 1]


def test_the_garbage_collector_stays_as_the_handler_left_it(run) -> None:
    event = run("""
    import gc

    def main_handler(event, context):
        seen = []
        def work():
            for _ in range(20):
                time.sleep(0.25)
        for turn in (gc.enable, gc.disable):
            turn()
            together(*[work] * 16)
            seen.append(gc.isenabled())
        return seen
    """)

    assert event.result == [True, False]


# -- a sleep of no length ----------------------------------------------------------------------------------------------

YIELDS = ["time.sleep(0)", "time.sleep(0.0)", "os.sched_yield()"]


@pytest.mark.parametrize(
    ("gives_way", "children"), [*((way, "real") for way in YIELDS), ("time.sleep(0)", "simulated")]
)
def test_a_thread_that_gives_way_goes_on_behind_all_that_are_ready(run, gives_way: str, children: str) -> None:
    event = run(
        f"""
    import os

    n = 0

    def main_handler(event, context):
        together_now = threading.Barrier(4)
        def work():
            global n
            together_now.wait()
            for _ in range(50):
                x = n
                {gives_way}
                n = x + 1
        together(*[work] * 4)
        return [n, now()]
    """,
        children=children,
    )

    assert event.result == [50, 0]  # of 200


@pytest.mark.parametrize("gives_way", YIELDS)
def test_who_gives_way_gives_it_to_whoever_is_ready_by_then(run, gives_way: str) -> None:
    event = run(f"""
    import os

    def main_handler(event, context):
        trace, lock, (out, into) = [], threading.Lock(), os.pipe()
        def waits_for_lock():
            with lock:
                trace.append("lock")
        def waits_for_pipe():
            trace.append(os.read(out, 4).decode())
        lock.acquire()
        threads = together(waits_for_lock, waits_for_pipe, lambda: time.sleep(1), join=False)
        time.sleep(0.5)
        {gives_way}
        trace.append("nobody is ready")
        os.write(into, b"pipe")
        lock.release()
        trace.append("still here")
        {gives_way}
        trace.append("last")
        for thread in threads:
            thread.join()
        return [trace, now()]
    """)

    assert event.result == [["nobody is ready", "still here", "lock", "pipe", "last"], 1]


def test_threads_that_poll_the_clock_and_give_way_to_each_other_end(run) -> None:
    event = run("""
    def main_handler(event, context):
        def work():
            end = time.time() + 0.01
            while time.time() < end:
                time.sleep(0)
        together(work, work)
        return now()
    """)

    assert 0.01 <= event.result < 0.02


# -- join ------------------------------------------------------------------------------------------------------------


def test_a_join_without_a_timeout_ends_when_the_thread_does(run) -> None:
    event = run("""
    def main_handler(event, context):
        thread, = together(lambda: time.sleep(12.5), join=False)
        thread.join()
        assert not thread.is_alive()
        thread.join()
        thread.join(5)
        return now()
    """)

    assert event.result == 12.5


@pytest.mark.parametrize(("timeout", "end", "alive"), [(30, 10, False), (0, 0, True), (-1, 0, True), (10, 10, False)])
def test_a_join_with_a_timeout_ends_with_the_thread_or_at_once(run, timeout: float, end: float, alive: bool) -> None:
    event = run(
        """
    def main_handler(event, context):
        thread, = together(lambda: time.sleep(10), join=False)
        thread.join(event)
        return [now(), thread.is_alive()]
    """,
        timeout,
    )

    assert event.result == [end, alive]


def test_several_threads_join_the_same_one_and_go_on_in_order(run) -> None:
    event = run("""
    def main_handler(event, context):
        trace = []
        worker, = together(lambda: time.sleep(5), join=False)
        def joiner(name):
            def run():
                worker.join()
                trace.append((name, now()))
            return run
        together(*[joiner(name) for name in "abc"])
        return trace
    """)

    assert event.result == [["a", 5.0], ["b", 5.0], ["c", 5.0]]


def test_wrong_joins_are_refused_as_ever(run) -> None:
    event = run("""
    def main_handler(event, context):
        said = []
        for attempt in (threading.Thread().join, threading.current_thread().join, lambda: started.start()):
            started, = together(lambda: None, join=False)
            try:
                attempt()
            except RuntimeError as error:
                said.append(str(error))
        return said
    """)

    assert event.result == [
        "cannot join thread before it is started",
        "cannot join current thread",
        "threads can only be started once",
    ]


def test_a_thread_that_cannot_be_started_leaves_no_trace(run) -> None:
    event = run("""
    def main_handler(event, context):
        threading.stack_size(2**46)
        try:
            threading.Thread(target=print).start()
        except RuntimeError as error:
            said = str(error)
        try:
            _thread.start_new_thread(print, ())
        except RuntimeError as error:
            said += "; " + str(error)
        threading.stack_size(0)
        time.sleep(5)
        together(lambda: time.sleep(5))
        return [said, now(), threading.active_count()]
    """)

    assert event.result == ["can't start new thread; can't start new thread", 10.0, 1]


def test_an_exception_in_a_thread_is_printed_without_frames_of_the_harness(run) -> None:
    event = run("""
    def main_handler(event, context):
        thread = threading.Thread(target=lambda: 1 / 0, name="the divider")
        thread.start()
        thread.join()
        return threading.active_count()
    """)

    assert event.result == 1
    lines = user_lines(event)
    assert lines[0] == "Exception in thread the divider:"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert not any("pytest_scf_async" in line for line in lines)


def test_names_idents_and_thread_locals_are_each_threads_own(run) -> None:
    event = run("""
    def main_handler(event, context):
        local = threading.local()
        local.value = "main"
        seen = {}
        def work(value):
            assert not hasattr(local, "value")
            local.value = value
            time.sleep(1)
            seen[threading.current_thread().name] = local.value
            assert threading.current_thread().ident == threading.get_ident() == _thread.get_ident()
            assert threading.get_native_id() == threading.current_thread().native_id
        threads = [threading.Thread(target=work, args=(value,), name=f"worker {value}") for value in range(3)]
        for thread in threads:
            thread.start()
        names = [thread.name for thread in threading.enumerate()]
        for thread in threads:
            thread.join()
        return [names, seen, local.value, threading.current_thread() is threading.main_thread()]
    """)

    assert event.result == [
        ["MainThread", "worker 0", "worker 1", "worker 2"],
        {"worker 0": 0, "worker 1": 1, "worker 2": 2},
        "main",
        True,
    ]


# -- ends ------------------------------------------------------------------------------------------------------------


def test_a_daemon_thread_is_frozen_with_the_instance_and_goes_on_with_the_next_event(
    deploy, runtime: ScfRuntime
) -> None:
    function = deploy(
        PRELUDE
        + """
    ticks = []

    def tick():
        while True:
            time.sleep(10)
            ticks.append(now())

    def main_handler(event, context):
        if not event["warm"]:
            threading.Thread(target=tick, daemon=True).start()
        time.sleep(25)
        return ticks
    """
    )

    first = function.invoke_async({"warm": False})
    assert first.wait().result == [10.0, 20.0]
    runtime.clock.advance(100)
    second = function.invoke_async({"warm": True})
    second.wait()

    assert second.instance.cold is False
    assert second.result == [10.0, 20.0, 125.0, 135.0, 145.0]


def test_a_thread_that_is_no_daemon_is_waited_for_when_the_process_leaves(deploy) -> None:
    event = deploy(
        PRELUDE
        + """
    def main_handler(event, context):
        together(lambda: (time.sleep(20), stamp("worker ends")), join=False)
        sys.exit(3)
    """
    ).invoke_async()

    assert (event.wait().status, event.status_code) == ("FAILED", 439)
    assert user_lines(event) == ["20 worker ends"]
    assert event.duration == timedelta(seconds=20)


def test_a_daemon_thread_is_not_waited_for_when_the_process_leaves(deploy) -> None:
    event = deploy(
        PRELUDE
        + """
    def main_handler(event, context):
        threading.Thread(target=lambda: (time.sleep(20), stamp("worker ends")), daemon=True).start()
        sys.exit(3)
    """
    ).invoke_async()

    assert (event.wait().status, event.status_code) == ("FAILED", 439)
    assert user_lines(event) == []
    assert event.duration == timedelta(0)


def test_a_pool_that_is_left_open_ends_with_the_process(deploy) -> None:
    event = deploy(
        PRELUDE
        + """
    def main_handler(event, context):
        pool = concurrent.futures.ThreadPoolExecutor(2)
        pool.submit(time.sleep, 7)
        pool.submit(lambda: stamp("second"))
        sys.exit("bye")
    """
    ).invoke_async()

    assert (event.wait().status, event.status_code) == ("FAILED", 439)
    assert event.duration == timedelta(seconds=7)
    assert "second" in user_lines(event)[-1] or "bye" in user_lines(event)[-1]


def test_threads_that_outlive_the_handler_do_not_keep_the_event_open(deploy) -> None:
    event = deploy(
        PRELUDE
        + """
    def main_handler(event, context):
        together(lambda: time.sleep(1000), join=False)
        return "done"
    """
    ).invoke_async()

    assert event.wait().result == "done"
    assert event.duration == timedelta(0)


# -- waits with timeouts: what the table of waits_table.py does not have ----------------------------------------------


@pytest.mark.parametrize(
    "wait",
    [
        "lock = threading.Lock(); lock.acquire(); assert lock.acquire(True, 2.5) is False",
        "c = threading.Condition(threading.Lock()); c.acquire(); assert c.wait(2.5) is False; c.release()",
        "expect(threading.BrokenBarrierError, threading.Barrier(2, timeout=2.5).wait)",
    ],
)
def test_a_wait_that_times_out_ends_a_microsecond_after_its_deadline(run, wait: str) -> None:
    event = run(f"""
    def expect(error, function, *args, **kwargs):
        try:
            function(*args, **kwargs)
        except error:
            return
        raise AssertionError("no timeout")

    def main_handler(event, context):
        deadline = time.monotonic() + 2.5
        {wait}
        assert time.monotonic() > deadline
        return now()
    """)

    assert event.result == 2.500001


def test_condition_wait_for_takes_the_rest_of_its_timeout_after_each_wake_up(run) -> None:
    event = run("""
    def main_handler(event, context):
        condition = threading.Condition()
        def notify():
            for _ in range(3):
                time.sleep(1)
                with condition:
                    condition.notify_all()
        threading.Thread(target=notify).start()
        with condition:
            assert condition.wait_for(lambda: False, timeout=5) is False
        return now()
    """)

    assert event.result == 5.000001


def test_waits_that_are_woken_in_time_end_when_they_are_woken(run) -> None:
    event = run("""
    def main_handler(event, context):
        trace = []
        happened, items, simple, gate = threading.Event(), queue.Queue(), queue.SimpleQueue(), threading.Semaphore(0)
        condition, barrier = threading.Condition(), threading.Barrier(2)
        def wake():
            for act in (happened.set, lambda: items.put("item"), lambda: simple.put("thing"), gate.release):
                time.sleep(1)
                act()
            time.sleep(1)
            with condition:
                condition.notify()
            time.sleep(1)
            barrier.wait()
        threading.Thread(target=wake).start()
        trace += [happened.wait(60), now(), items.get(timeout=60), now(), simple.get(timeout=60), now()]
        trace += [gate.acquire(timeout=60), now()]
        with condition:
            trace += [condition.wait(60), now()]
        barrier.wait(60)
        return trace + [now()]
    """)

    assert event.result == [True, 1.0, "item", 2.0, "thing", 3.0, True, 4.0, True, 5.0, 6.0]


def test_a_timer_fires_and_a_cancelled_one_does_not(run) -> None:
    event = run("""
    def main_handler(event, context):
        timers = [threading.Timer(5, stamp, ["fired"]), threading.Timer(7, stamp, ["never"])]
        for timer in timers:
            timer.start()
        time.sleep(6)
        timers[1].cancel()
        for timer in timers:
            timer.join()
        stamp("joined")
    """)

    assert user_lines(event) == ["5 fired", "6 joined"]


def test_a_thread_pool_works_through_its_queue_on_simulated_time(run) -> None:
    event = run("""
    def main_handler(event, context):
        def work(seconds):
            time.sleep(seconds)
            return [seconds, now()]
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            futures = [pool.submit(work, seconds) for seconds in (4, 1, 2, 5)]
            done = [future.result()[0] for future in concurrent.futures.as_completed(futures, timeout=60)]
            mapped = list(pool.map(work, (1, 1, 1), timeout=60))
        return [done, [future.result()[1] for future in futures], mapped, now()]
    """)

    assert event.result == [[1, 2, 4, 5], [4, 1, 3, 8], [[1, 9], [1, 9], [1, 10]], 10]


def test_an_rlock_may_be_taken_again_and_is_free_only_after_the_last_release(run) -> None:
    event = run("""
    def main_handler(event, context):
        lock, trace = threading.RLock(), []
        def other():
            trace.append(lock.acquire(blocking=False))
            with lock:
                trace.append(now())
        with lock:
            with lock:
                threading.Thread(target=other).start()
                time.sleep(1)
            assert lock._is_owned()
            time.sleep(1)
            try:
                _thread.start_new_thread(lock.release, ())
                time.sleep(1)
            except RuntimeError:
                trace.append("not here")
        time.sleep(1)
        try:
            lock.release()
        except RuntimeError as error:
            trace.append(str(error))
        return trace
    """)

    assert event.result == [False, 3.0, "cannot release un-acquired lock"]


def test_a_condition_gives_back_a_recursive_rlock_whole(run) -> None:
    event = run("""
    def main_handler(event, context):
        condition = threading.Condition()
        def notify():
            with condition:
                time.sleep(3)
                condition.notify()
        with condition, condition, condition:
            threading.Thread(target=notify).start()
            assert condition.wait()
            assert condition._is_owned()
            stamp("owned")
        return condition.acquire(blocking=False) and not condition._lock.release()
    """)

    assert user_lines(event) == ["3 owned"]
    assert event.result is True


def test_a_lock_may_be_released_by_another_thread_than_its_owner(run) -> None:
    event = run("""
    def main_handler(event, context):
        lock = threading.Lock()
        lock.acquire()
        threading.Timer(3, lock.release).start()
        with lock:
            assert lock.locked()
            return now()
    """)

    assert event.result == 3.000001


def test_waiters_of_a_lock_get_it_in_the_order_in_which_they_came(run) -> None:
    event = run("""
    def main_handler(event, context):
        lock, trace = threading.Lock(), []
        def work(name):
            def run():
                with lock:
                    trace.append((name, now()))
                    time.sleep(1)
            return run
        together(*[work(name) for name in "abcde"])
        return trace
    """)

    assert event.result == [["a", 0], ["b", 1], ["c", 2], ["d", 3], ["e", 4]]


def test_a_dead_lock_is_an_error_that_names_the_wait(deploy) -> None:
    event = deploy(PRELUDE + """
    def main_handler(event, context):
        first, second = threading.Lock(), threading.Lock()
        def take(one, other):
            with one:
                time.sleep(1)
                with other:
                    pass
        together(lambda: take(first, second), lambda: take(second, first))
    """, timeout=600).invoke_async()  # fmt: skip

    assert (event.wait().status, event.status_code) == ("FAILED", 433)
    assert event.duration == timedelta(seconds=600)


# -- stress ----------------------------------------------------------------------------------------------------------

CROWD = """
    import random

    def main_handler(event, context):
        chance = random.Random(event)
        locks = [threading.Lock() for _ in range(4)]
        items, happened, condition = queue.Queue(), threading.Event(), threading.Condition()
        simple, gate = queue.SimpleQueue(), threading.Semaphore(2)
        trace = []
        def work(name):
            for step in range(60):
                act = chance.randrange(9)
                if act == 0:
                    time.sleep(chance.choice([0.001, 0.5, 1, 1, 2]))
                elif act == 1:
                    with locks[chance.randrange(4)]:
                        time.sleep(0.25)
                elif act == 2:
                    items.put(name)
                elif act == 3:
                    try:
                        items.get(timeout=chance.choice([0.1, 1]))
                    except queue.Empty:
                        pass
                elif act == 4:
                    happened.wait(chance.choice([0.1, 1]))
                elif act == 5:
                    happened.set() if chance.random() < 0.5 else happened.clear()
                elif act == 6:
                    with condition:
                        condition.notify(2) if chance.random() < 0.5 else condition.wait(0.75)
                elif act == 7:
                    simple.put(step)
                    simple.get()
                else:
                    with gate:
                        time.sleep(0.125)
                trace.append(f"{name}.{step} {time.time_ns() // 1000 % 10**12}")
        together(*[lambda name=name: work(name) for name in range(16)])
        print("\\n".join(trace))
"""


@pytest.mark.repeat
def test_a_crowd_of_threads_does_the_same_in_two_runs(deploy, make_runtime) -> None:
    traces = []
    for _ in range(2):
        event = deploy(PRELUDE + CROWD, to=make_runtime()).invoke_async(7).wait()
        assert event.status == "FINISHED", str(event.log)
        traces.append([(line.time, line.text) for line in event.log if line.source == "Custom"])

    assert len(traces[0]) == 16 * 60
    assert traces[0] == traces[1]


def test_a_thread_whose_turn_comes_on_its_way_into_a_wait(deploy) -> None:
    event = deploy("""
        import select, threading, time
        from pytest_scf_async.python.scheduler.scheduler import scheduler
        from pytest_scf_async.side.originals import real_poll

        def main_handler(event, context):
            def enters():
                def enlist(wait):
                    scheduler.wake(wait)
                    woken = real_poll()
                    woken.register(wait.thread.wakeup_fd, select.POLLIN)
                    woken.poll()  # a thread that has no core here until its turn has come
                    return True

                print(scheduler.park(None, "a wait", enlist=enlist), flush=True)

            thread = threading.Thread(target=enters)
            thread.start()
            time.sleep(10)
            thread.join()
            print("after", flush=True)
            time.sleep(5)
    """).invoke_async()

    event.wait()

    assert user_lines(event) == ["True", "after"]
    assert event.duration == timedelta(seconds=15)
