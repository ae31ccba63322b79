"""``asyncio`` on simulated time: its loop waits in a selector, whose descriptors are the process's own."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from process_support import grow_impatient, user_lines

from pytest_scf_async import CannotEndError
from pytest_scf_async.async_event import AsyncEvent
from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

STRESS_ROUNDS = int(os.environ.get("SCF_STRESS", "200"))
RANDOM_PROGRAMS = int(os.environ.get("SCF_PROGRAMS", "4"))

IMPORTS = """
import asyncio, concurrent.futures, contextlib, os, signal, socket, subprocess, sys, threading, time

BEGAN = time.time()

class Stop(Exception):
    pass

def passed():
    seconds = round(time.time() - BEGAN, 6)
    return int(seconds) if seconds == int(seconds) else seconds

def stamp(what):
    print(passed(), what)

def run(coroutine, where="main"):
    results = []
    def work():
        results.append(asyncio.run(coroutine))
    if where == "main":
        work()
    else:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    return results[0]

def main_handler(event, context):
    return run(main(), *event)
"""

on_each_thread = pytest.mark.parametrize("thread", ["main", "second"])


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server of the test's own: a client of it waits for something real."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


# -- on simulated time: what the table of waits_table.py does not have -----------------------------------------------

WAITS = {
    "asyncio.sleep(1.1), ten times": ("for _ in range(10): await asyncio.sleep(1.1)", 11),
    "asyncio.sleep(0.000001)": ("await asyncio.sleep(0.000001)", 0.000001),
    "asyncio.sleep(0)": ("await asyncio.sleep(0)", 0),
    "asyncio.wait_for(…, 60), in time": ("await asyncio.wait_for(asyncio.sleep(30), 60)", 30),
    "asyncio.as_completed(…, timeout=60)": (
        "[await fails(each) for each in asyncio.as_completed([asyncio.sleep(100)], timeout=60)]",
        60,
    ),
    "loop.call_at(…)": (
        "future = a_future(); future.get_loop().call_at(passed_by_loop() + 60, future.set_result, 1); await future",
        60,
    ),
    "run_in_executor(…) and wait_for(…, 60)": (
        "await fails(asyncio.wait_for(asyncio.to_thread(time.sleep, 100), 60)); stamp('timeout')",
        100,
    ),
    "a pool of its own": (
        "await asyncio.gather(*in_a_pool(2, time.sleep, *[20] * 6))",
        60,
    ),
    "run_coroutine_threadsafe(…).result()": (
        "await asyncio.to_thread(run_threadsafe(asyncio.sleep(60)).result)",
        60,
    ),
    "a connection to itself": ("await talk('127.0.0.1')", 60),
}  # fmt: skip
HELPERS = """
TimeoutErrors = (asyncio.TimeoutError, TimeoutError)

async def fails(awaitable):
    try:
        await awaitable
    except TimeoutErrors:
        return
    raise AssertionError("no timeout")

def a_future():
    return asyncio.get_running_loop().create_future()

def passed_by_loop():
    return asyncio.get_running_loop().time()

def in_a_pool(workers, function, *arguments):
    pool, loop = concurrent.futures.ThreadPoolExecutor(workers), asyncio.get_running_loop()
    return [loop.run_in_executor(pool, function, each) for each in arguments]

def run_threadsafe(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, asyncio.get_running_loop())

async def talk(host):
    async def serve(reader, writer):
        line = await reader.readline()
        await asyncio.sleep(60)
        writer.write(line.upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    writer.write(b"word\\n")
    assert await reader.read() == b"WORD\\n"
    writer.close()
    server.close()
"""


@on_each_thread
@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_takes_exactly_its_time(deploy, wait: str, thread: str) -> None:
    code, seconds = WAITS[wait]
    source = f"{IMPORTS}{HELPERS}\nasync def main():\n    {code}\n    return passed()\n"
    if "wait_for(…, 60)" in wait and "run_in" in wait:  # asyncio.run waits for the pool at its end
        source = source.replace("return passed()", "").replace("return run(", "run(") + "    return passed()\n"
    event = deploy(source).invoke_async([thread])
    event.wait()

    assert event.status == "FINISHED", str(event.log)
    assert event.duration == timedelta(seconds=seconds)


@pytest.mark.parametrize("policy", ["EpollSelector", "PollSelector", "SelectSelector"])
def test_a_loop_may_have_any_selector(deploy, policy: str) -> None:
    assert deploy(
        IMPORTS
        + f"""
import selectors

def main_handler(event, context):
    loop = asyncio.SelectorEventLoop(selectors.{policy}())
    ends = []
    async def main():
        for seconds in (60, 1.1, 0.000001):
            before = time.time()
            await asyncio.sleep(seconds)
            ends.append(round(time.time() - before, 6))
        future = loop.create_future()
        threading.Timer(5, loop.call_soon_threadsafe, (future.set_result, 1)).start()
        await future
    loop.run_until_complete(main())
    loop.close()
    return ends, passed()
"""
    ).run() == [[60, 1.1, 0.000001], 66.100002]


def test_three_hours_of_one_second_sleeps_end_to_the_microsecond(deploy, make_runtime) -> None:
    """Each sleep is due by the time at which the one before ended: one that is off by a nanosecond would show."""
    event = deploy(
        IMPORTS
        + """
async def main():
    for _ in range(10_799):
        await asyncio.sleep(1)
    return passed()
""",
        to=make_runtime(leases=True),
        timeout=86_400,
    ).invoke_async([])

    assert event.wait().result == 10_799
    assert event.duration == timedelta(seconds=10_799)


def test_a_loop_that_nothing_wakes_is_reported(deploy, runtime: ScfRuntime) -> None:
    event = deploy(IMPORTS + "\nasync def main():\n    await asyncio.Event().wait()\n", timeout=600).invoke_async([])
    event.settle()

    assert event.doing == "parked"
    assert event.wait().status_code == 433
    assert event.duration == timedelta(seconds=600)
    assert re.search(r"wait      await Event\.wait at index\.py:\d+ in Task-1$", event.timeline, re.MULTILINE)


def test_of_tasks_that_nothing_wakes_those_are_named_that_wait_for_no_other_task(deploy) -> None:
    source = """
async def waits(event):
    await event.wait()

async def main():
    await asyncio.gather(*(asyncio.create_task(waits(asyncio.Event()), name=f"waits-{n}") for n in range(TASKS)))
"""
    named = deploy(IMPORTS + source.replace("TASKS", "2"), timeout=60).invoke_async([]).wait()
    assert re.search(
        r"wait      await Event\.wait at index\.py:(\d+) in waits-0 and await Event\.wait at index\.py:\1 in waits-1$",
        named.timeline,
        re.MULTILINE,
    )
    three = deploy(IMPORTS + source.replace("TASKS", "3"), timeout=60).invoke_async([]).wait()
    assert re.search(
        r"in waits-0 and await Event\.wait at index\.py:\d+ in waits-1 and 1 more$", three.timeline, re.MULTILINE
    )
    many = deploy(IMPORTS + source.replace("TASKS", "65"), timeout=60).invoke_async([]).wait()
    assert "wait      asyncio.run at index.py:" in many.timeline


def test_other_threads_and_a_loop_take_turns_by_their_due_times(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
def thread(name, seconds):
    for _ in range(3):
        time.sleep(seconds)
        stamp(name)

async def task(name, seconds):
    for _ in range(3):
        await asyncio.sleep(seconds)
        stamp(name)

async def main():
    threading.Thread(target=thread, args=("thread", 2)).start()
    await asyncio.gather(task("a", 1), task("b", 2.5))
"""
    ).invoke_async([])

    assert user_lines(event.wait()) == [
        "1 a", "2 thread", "2 a", "2.5 b", "3 a", "4 thread", "5 b", "6 thread", "7.5 b",
    ]  # fmt: skip


def test_two_loops_on_two_threads_talk_to_each_other(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    loops = [asyncio.new_event_loop() for _ in range(2)]
    queues = [asyncio.Queue() for _ in range(2)]

    async def plays(me):
        for _ in range(4):
            value = await queues[me].get()
            stamp(f"{me} {value}")
            await asyncio.sleep(me + 1)
            loops[1 - me].call_soon_threadsafe(queues[1 - me].put_nowait, value + 1)

    thread = threading.Thread(target=lambda: loops[1].run_until_complete(plays(1)))
    thread.start()
    queues[0].put_nowait(0)
    loops[0].run_until_complete(plays(0))
    thread.join()
"""
    ).invoke_async([])

    assert user_lines(event.wait()) == [
        "0 0 0", "1 1 1", "3 0 2", "4 1 3", "6 0 4", "7 1 5", "9 0 6", "10 1 7",
    ]  # fmt: skip
    assert event.status == "FINISHED"


# -- signals ---------------------------------------------------------------------------------------------------------

LISTENER = """
async def main():
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_term():
        stamp("SIGTERM")
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, on_term)
    beside = asyncio.ensure_future(asyncio.sleep(1000))
    {wait}
    stamp("stopped")
    await asyncio.sleep(5)
    stamp("done")
"""


@pytest.mark.repeat
@pytest.mark.parametrize(
    "wait", ["await stop.wait()", "await asyncio.wait_for(stop.wait(), 600)", "await asyncio.to_thread(time.sleep, 20)"]
)
def test_add_signal_handler_is_called_at_the_instant_of_the_signal(deploy, runtime: ScfRuntime, wait: str) -> None:
    event = deploy(IMPORTS + LISTENER.format(wait=wait)).invoke_async([])
    event.settle()
    runtime.clock.advance(20)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert sorted(user_lines(event)[:2]) == ["20 SIGTERM", "20 stopped"]
    assert user_lines(event)[2:] == ["25 done"]
    assert event.status == "FINISHED"


def test_a_signal_in_a_blocking_call_of_a_coroutine_reaches_the_loop_after_it(deploy, runtime: ScfRuntime) -> None:
    event = deploy(IMPORTS + LISTENER.format(wait="time.sleep(30); stamp('slept'); await stop.wait()")).invoke_async([])
    event.settle()
    runtime.clock.advance(20)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert user_lines(event) == ["30 slept", "30 SIGTERM", "30 stopped", "35 done"]


SIGNALLED = """
def on_term(signum, frame):
    stamp("SIGTERM")
    {act}

async def main():
    signal.signal(signal.SIGTERM, on_term)
    try:
        await asyncio.sleep(60)
        stamp("slept")
    except asyncio.CancelledError:
        stamp("cancelled")
        raise

def main_handler(event, context):
    try:
        asyncio.run(main())
    except Stop:
        stamp("stopped")
"""


@pytest.mark.parametrize(
    ("act", "lines"),
    [
        ("time.sleep(15)", ["20 SIGTERM", "60 slept"]),
        ("time.sleep(100)", ["20 SIGTERM", "120 slept"]),
        ("raise Stop", ["20 SIGTERM", "20 cancelled", "20 stopped"]),
    ],
)
def test_a_handler_of_signal_signal_interrupts_the_loop(deploy, runtime: ScfRuntime, act: str, lines: list) -> None:
    event = deploy(IMPORTS + SIGNALLED.format(act=act)).invoke_async([])
    event.settle()
    runtime.clock.advance(20)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert user_lines(event) == lines


def test_an_alarm_of_the_loops_own_process_wakes_it(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
async def main():
    got = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, got.set)
    threading.Timer(30, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    await got.wait()
    return passed()
"""
    ).invoke_async([])

    assert event.wait().result == 30.000001  # a Timer is a wait with a timeout


# -- threads that wake the loop --------------------------------------------------------------------------------------


@on_each_thread
def test_call_soon_threadsafe_never_loses_a_wake_up(deploy, thread: str) -> None:
    """The thread writes to a descriptor that the loop waits for, and waits itself: the clock must not pass the loop."""
    result = deploy(
        IMPORTS
        + f"""
async def main():
    loop = asyncio.get_running_loop()
    wrong = []
    asked, go = threading.Semaphore(0), True

    def work():
        while asked.acquire() and go:
            due = passed()
            loop.call_soon_threadsafe(got, due)

    def got(due):
        if passed() != due:
            wrong.append([due, passed()])
        future.set_result(None)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for each in threads:
        each.start()
    for round in range({STRESS_ROUNDS}):
        future = loop.create_future()
        asked.release()
        await asyncio.wait_for(future, 15)
        if round % 10 == 0:
            await asyncio.sleep(0.5)
    go = False
    for each in threads:
        asked.release()
    return [wrong, passed()]
""",
        timeout=86_400,
    ).run([thread])

    assert result == [[], -(-STRESS_ROUNDS // 10) * 0.5]


@on_each_thread
def test_the_results_of_an_executor_come_at_their_instants(deploy, thread: str) -> None:
    event = deploy(
        IMPORTS
        + """
def work(number):
    time.sleep(number)
    return number

async def main():
    loop = asyncio.get_running_loop()
    started = [loop.run_in_executor(None, work, number) for number in (3, 1, 2, 2)]
    for done in asyncio.as_completed(started):
        stamp(await done)
"""
    ).invoke_async([thread])

    assert user_lines(event.wait()) == ["1 1", "2 2", "2 2", "3 3"]


MIXED = """
async def worker(name, queue):
    while True:
        job = await queue.get()
        await asyncio.to_thread(time.sleep, job)
        stamp(f"{name} did {job}")
        queue.task_done()

async def main():
    queue = asyncio.Queue()
    workers = [asyncio.ensure_future(worker(name, queue)) for name in "abc"]
    for job in (3, 1, 2, 2, 0.5, 1, 1.5, 1, 1):
        queue.put_nowait(job)
        await asyncio.sleep(0.25)
    await queue.join()
    for each in workers:
        each.cancel()
"""


@pytest.mark.repeat
def test_two_runs_are_the_same_with_leases_and_without(deploy, make_runtime) -> None:
    def run(leases: bool) -> list[Any]:
        runtime = make_runtime(leases=leases)
        event = deploy(IMPORTS + MIXED, to=runtime, name="mixed").invoke_async([]).wait()
        return [(line.time, line.text) for line in event.log if line.source == "Custom"] + [event.duration]

    first = run(True)

    assert len(first) == 11
    assert run(True) == run(False) == first


@pytest.mark.repeat
@pytest.mark.parametrize("seed", range(RANDOM_PROGRAMS))
def test_threads_and_loops_that_wake_each_other_at_random_do_so_alike_in_all_runs(make_runtime, seed: int) -> None:
    def run(leases: bool) -> list[Any]:
        function = make_runtime(leases=leases).deploy("random_loops.py:main_handler")
        event = function.invoke_async(seed).wait()
        assert event.status == "FINISHED", str(event.log)
        return [event.duration, *user_lines(event)]

    first = run(True)

    assert len(first) > 80
    assert run(True) == run(False) == first


# -- what is real ----------------------------------------------------------------------------------------------------


@on_each_thread
@pytest.mark.repeat
def test_wait_for_a_child_that_works_in_real_time_takes_no_simulated_time(deploy, thread: str) -> None:
    assert deploy(
        IMPORTS
        + """
async def main():
    child = await asyncio.create_subprocess_exec("sleep", "0.3")
    return [await asyncio.wait_for(child.wait(), 60), passed()]
"""
    ).run([thread]) == [0, 0]


@pytest.mark.repeat
def test_the_streams_of_a_child_are_real_and_take_no_simulated_time(deploy) -> None:
    assert deploy(
        IMPORTS
        + """
async def main():
    program = "import sys, time; time.sleep(0.1); print(sys.stdin.readline().upper()); time.sleep(0.1); sys.exit(3)"
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=pipe, stdout=pipe, stderr=pipe)
    child.stdin.write(b"word\\n")
    line = await asyncio.wait_for(child.stdout.readline(), 60)
    rest = await asyncio.wait_for(child.communicate(), 60)
    shell = await asyncio.create_subprocess_shell("sleep 0.1; echo said; exit 4", stdout=pipe)
    said = await asyncio.wait_for(shell.communicate(), 60)
    return [line.decode(), rest[1].decode(), child.returncode, said[0].decode(), shell.returncode, passed()]
"""
    ).run([]) == ["WORD\n", "", 3, "said\n", 4, 0]


def test_tasks_beside_a_child_wait_until_it_has_ended(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
async def ticks():
    for _ in range(3):
        await asyncio.sleep(1)
        stamp("tick")

async def main():
    beside = asyncio.ensure_future(ticks())
    child = await asyncio.create_subprocess_exec("sleep", "0.2")
    await child.wait()
    stamp("ended")
    await beside
"""
    ).invoke_async([])

    assert user_lines(event.wait()) == ["0 ended", "1 tick", "2 tick", "3 tick"]


def test_a_child_in_the_background_holds_no_loop(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
async def main():
    child = await asyncio.create_subprocess_exec("sleep", "1000", stdout=asyncio.subprocess.PIPE)
    with contextlib.suppress(*TimeoutErrors):
        await asyncio.wait_for(child.wait(), 3600)
    child.kill()
    return passed()

TimeoutErrors = (asyncio.TimeoutError, TimeoutError)
""",
        background=("sleep",),
    ).invoke_async([])

    assert event.wait().result == 3600


def test_a_child_that_is_killed_ends_its_streams(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
async def main():
    child = await asyncio.create_subprocess_exec("sleep", "1000", stdout=asyncio.subprocess.PIPE)
    asyncio.get_running_loop().call_soon(child.kill)
    await asyncio.wait_for(child.communicate(), 60)
    return [child.returncode, passed()]
"""
    ).invoke_async([])

    assert event.wait().result == [-9, 0]


@pytest.mark.repeat
def test_an_answer_from_outside_takes_no_simulated_time(deploy, server: socket.socket) -> None:
    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            asked = connection.recv(100)
            threading.Event().wait(0.1)  # of work
            connection.send(asked.upper())

    thread = threading.Thread(target=answer)
    thread.start()
    result = deploy(
        IMPORTS
        + """
async def main():
    beside = asyncio.ensure_future(asyncio.sleep(3600))
    reader, writer = await asyncio.open_connection(*ADDRESS)
    writer.write(b"word")
    said = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    before = passed()
    await beside
    return [said.decode(), before, passed()]
""".replace("ADDRESS", repr(server.getsockname()))
    ).run([])
    thread.join()

    assert result == ["WORD", 0, 3600]


def test_beside_an_idle_connection_timers_pass_in_both_times(deploy, server: socket.socket) -> None:
    event = deploy(
        IMPORTS
        + """
async def main():
    reader, writer = await asyncio.open_connection(*ADDRESS)
    for _ in range(4):
        await asyncio.sleep(0.05)
    return passed()
""".replace("ADDRESS", repr(server.getsockname()))
    ).invoke_async([])

    assert event.wait().result == 0.2


def test_an_answer_that_does_not_come_is_named(deploy, make_runtime, server: socket.socket) -> None:
    runtime = make_runtime()
    event = deploy(
        IMPORTS
        + """
async def main():
    reader, writer = await asyncio.open_connection(*ADDRESS)
    await asyncio.wait_for(reader.read(), 60)
""".replace("ADDRESS", repr(server.getsockname())),
        to=runtime,
    ).invoke_async([])
    event.settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError, match="is held by a real wait"):
        event.wait()
    assert re.search(
        rf"await at index.py:\d+ in Task-1 on a connection to 127.0.0.1:{server.getsockname()[1]}\b", event.timeline
    )
    runtime.clock.advance(60, past_held=True)
    assert event.wait().status == "FAILED"
    assert event.duration == timedelta(seconds=60)


# -- events ----------------------------------------------------------------------------------------------------------


def test_a_gate_stands_in_a_coroutine(deploy, runtime: ScfRuntime) -> None:
    event: AsyncEvent = deploy(
        IMPORTS
        + """
async def main():
    for row in range(1000):
        await asyncio.sleep(1)
        print("row", row)
    return passed()
"""
    ).invoke_async([])

    event.wait_for_log("row 499")
    runtime.clock.advance(100)

    assert user_lines(event)[-1] == "row 599"
    assert event.wait().result == 1000


def test_one_instance_runs_a_loop_in_each_of_its_events(deploy) -> None:
    function = deploy(IMPORTS + "\nasync def main():\n    await asyncio.sleep(10)\n    return passed()\n")

    assert [function.run([]) for _ in range(3)] == [10, 20, 30]


@pytest.mark.parametrize("years", [0, 3, 30])
def test_sleeps_and_timeouts_are_exact_years_after_the_boot(deploy, runtime, years: int) -> None:
    runtime.clock.advance(timedelta(days=365 * years))
    event = deploy(
        """
        import asyncio, time

        async def took_ns(number):
            began = time.time_ns()
            if number % 2:
                await asyncio.sleep(number / 10)
            else:
                try:
                    await asyncio.wait_for(asyncio.Event().wait(), number / 10)
                except asyncio.TimeoutError:
                    pass
            return time.time_ns() - began

        async def work():
            alone = [await took_ns(number) for number in range(1, 100)]
            return alone, await asyncio.gather(*map(took_ns, range(1, 100)))

        def main_handler(event, context):
            return asyncio.run(work())
        """
    ).invoke_async()

    expected = [number * 100_000_000 for number in range(1, 100)]
    assert event.wait().result == [expected, expected]


def test_a_timer_does_not_go_off_with_another_that_is_due_a_microsecond_earlier(deploy) -> None:
    event = deploy(
        """
        import asyncio, time

        async def work():
            began = time.time_ns()
            async def wait(microseconds):
                await asyncio.sleep(microseconds / 1_000_000)
                return time.time_ns() - began
            return await asyncio.gather(*map(wait, range(1, 20)))

        def main_handler(event, context):
            return asyncio.run(work())
        """
    ).invoke_async()

    assert event.wait().result == [microseconds * 1_000 for microseconds in range(1, 20)]
