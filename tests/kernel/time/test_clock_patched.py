"""``scf_clock.patched()``: the test's own process on the simulated clock."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copyreg
import datetime as datetime_module
import fcntl
import hashlib
import os
import queue
import random
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from time import sleep as sleep_by_name
from time import time as time_by_name
from typing import TYPE_CHECKING, Any

import freezegun
import pytest
from freezegun import api
from internals import REAL, Lockstep, calls, freezegun_classes, lockstep_of, procfs, test_process
from process_support import LONG, START, grow_impatient

from pytest_scf_async import CannotEndError, ScfUsageError, SimulatedClock
from pytest_scf_async.runtime import ScfRuntime

if TYPE_CHECKING:
    from conftest import Deploy, MakeRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

SLEEPS = """
    import time

    def main_handler(event, context):
        for row in range(event["rows"]):
            time.sleep(60)
            print("row", row)
        return "done"
"""
HELD = """
    import fcntl

    def main_handler(event, context):
        with open(event["lock"]) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
"""


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def in_real_time(call: Callable[[], object]) -> float:
    """How many real seconds *call* takes."""
    began = REAL.monotonic()
    call()
    return REAL.monotonic() - began


# -- clocks ----------------------------------------------------------------------------------------------------------


def test_all_clocks_of_the_process_show_simulated_time(runtime: ScfRuntime) -> None:
    clock = runtime.clock
    clock.advance(0.123456)
    with clock.patched():
        before = {name: getattr(time, name)() for name in ("monotonic", "monotonic_ns", "perf_counter")}
        time.sleep(3600.5)
        now = START + seconds(3600.623456)
        assert clock.now == now
        assert datetime.now(timezone.utc) == now
        assert datetime_module.datetime.now(timezone.utc) == now
        assert date.today() == datetime.fromtimestamp(now.timestamp()).date()  # the host's zone
        assert datetime.now() == datetime.fromtimestamp(now.timestamp())
        assert datetime.now().astimezone() == now
        assert datetime.now().timestamp() == now.timestamp()
        assert time.time() == time_by_name() == time.clock_gettime(time.CLOCK_REALTIME) == now.timestamp()
        assert time.time_ns() == time.clock_gettime_ns(time.CLOCK_REALTIME) == clock.now_us * 1000
        assert time.gmtime()[:6] == (2026, 1, 1, 1, 0, 0)
        assert time.strftime("%H:%M:%S", time.gmtime()) == "01:00:00"
        assert time.localtime() == time.localtime(now.timestamp())
        assert time.ctime() == time.ctime(now.timestamp())
        assert time.asctime() == time.asctime(time.localtime())
        assert time.strftime("%c") == time.strftime("%c", time.localtime())
        assert time.monotonic() - before["monotonic"] == pytest.approx(3600.5, abs=1e-9)
        assert time.monotonic_ns() - before["monotonic_ns"] == 3_600_500_000_000
        assert time.perf_counter() - before["perf_counter"] == pytest.approx(3600.5, abs=1e-9)
        assert time.clock_gettime(time.CLOCK_MONOTONIC) == time.monotonic()
        assert time.process_time() < 3600


def test_a_duration_that_began_before_has_its_real_part(runtime: ScfRuntime) -> None:
    began = time.monotonic()
    with runtime.clock.patched():
        assert 0 <= time.monotonic() - began < 60
        time.sleep(100)
        assert 100 <= time.monotonic() - began < 160


def test_naive_times_are_those_of_tz(runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        with runtime.clock.patched():
            assert datetime.now() == datetime(2026, 1, 1, 8)
            assert datetime.fromtimestamp(START.timestamp()) == datetime(2026, 1, 1, 8)
            assert (time.localtime().tm_hour, time.strftime("%H")) == (8, "08")
            assert datetime.now(timezone.utc) == START
    finally:
        monkeypatch.undo()
        time.tzset()


def state() -> list[object]:
    """What ``patched`` puts something else in the place of."""
    return [
        *(getattr(time, name) for name in dir(time)),
        *(datetime_module.datetime, datetime_module.date, datetime, date, time_by_name, sleep_by_name),
        *(threading.Condition.wait, selectors.EpollSelector.select, queue.time),  # type: ignore[attr-defined]
        *(vars(api.FakeDatetime)[name] for name in ("now", "today", "fromtimestamp", "astimezone", "timestamp")),
        *(vars(api.FakeDate)["today"], api.fake_time, api.fake_monotonic),
        *map(list, (api.freeze_factories, api.tz_offsets, api.ignore_lists, api.tick_flags)),
        dict(copyreg.dispatch_table),
    ]


@pytest.mark.parametrize("raises", [False, True])
def test_leaving_puts_everything_back(runtime: ScfRuntime, raises: bool) -> None:
    before = state()
    try:
        with runtime.clock.patched():
            assert state() != before
            late = types.ModuleType("imported_late")
            sys.modules["imported_late"] = late
            exec("from time import sleep, time, monotonic; from datetime import datetime", vars(late))  # noqa: S102
            assert late.time() == START.timestamp()
            if raises:
                raise RuntimeError("of the test")
    except RuntimeError:
        assert raises
    assert state() == before
    real = [time.sleep, time.time, time.monotonic, datetime]
    assert [late.sleep, late.time, late.monotonic, late.datetime] == real
    del sys.modules["imported_late"]


def test_it_may_be_entered_again_inside_itself(runtime: ScfRuntime) -> None:
    before = state()
    with runtime.clock.patched():
        with runtime.clock.patched():
            time.sleep(5)
        time.sleep(5)
        assert time.time() == START.timestamp() + 10
    assert state() == before


def test_a_process_is_on_one_clock(runtime: ScfRuntime, make_runtime: MakeRuntime) -> None:
    other = make_runtime()
    with runtime.clock.patched():
        with pytest.raises(ScfUsageError, match="already on the clock of another runtime"), other.clock.patched():
            pass
        time.sleep(5)
        assert (runtime.clock.now, other.clock.now) == (START + seconds(5), START)
    with other.clock.patched():
        time.sleep(7)
    assert (runtime.clock.now, other.clock.now) == (START + seconds(5), START + seconds(7))


def test_a_clock_without_a_runtime_has_nobody_to_patch(make_runtime: MakeRuntime) -> None:
    with pytest.raises(ScfUsageError, match=r"patched\(\): this clock belongs to no runtime"):
        SimulatedClock(START).patched()
    runtime = make_runtime()
    runtime.close()
    with pytest.raises(ScfUsageError, match=r"patched\(\): .* or to one that is closed"):
        runtime.clock.patched()


def test_a_runtime_that_is_closed_inside(make_runtime: MakeRuntime) -> None:
    before = state()
    runtime = make_runtime()
    with runtime.clock.patched():
        time.sleep(5)
        runtime.close()
        assert time.time() == START.timestamp() + 5
        with pytest.raises(
            ScfUsageError,
            match=r"time.sleep\(5\): the runtime whose clock this process is on is closed",
        ):
            time.sleep(5)
    assert state() == before


def test_the_clocks_own_time_is_of_the_genuine_class(runtime: ScfRuntime) -> None:
    """Code in C that refuses freezegun's objects takes it."""
    with runtime.clock.patched():
        assert type(datetime.now()) is not api.real_datetime
        assert type(runtime.clock.now) is api.real_datetime


# -- the user's own freezegun ----------------------------------------------------------------------------------------


def test_a_freeze_of_the_test_nests_inside(runtime: ScfRuntime) -> None:
    with runtime.clock.patched():
        with freezegun.freeze_time("2020-02-02 12:00:00") as frozen:
            assert datetime.now(timezone.utc) == datetime(2020, 2, 2, 12, tzinfo=timezone.utc)
            assert datetime.now().timestamp() == time.time() == time_by_name()
            frozen.tick(60)
            assert time.time() == datetime(2020, 2, 2, 12, 1, tzinfo=timezone.utc).timestamp()
            time.sleep(5)  # the clock goes on, what is frozen does not
            assert time.time() == datetime(2020, 2, 2, 12, 1, tzinfo=timezone.utc).timestamp()
        assert datetime.now(timezone.utc) == runtime.clock.now == START + seconds(5)


def test_inside_a_freeze_of_the_test(runtime: ScfRuntime) -> None:
    with freezegun.freeze_time("2020-02-02 12:00:00"):
        before = state()
        with runtime.clock.patched():
            time.sleep(5)
            assert datetime.now(timezone.utc) == START + seconds(5)
            assert time.time() == START.timestamp() + 5
            asyncio.run(asyncio.sleep(60))
            with pytest.raises(queue.Empty):
                queue.Queue[int]().get(timeout=30)
            assert runtime.clock.now == START + seconds(95.000001)
        assert state() == before
        assert time.time() == datetime(2020, 2, 2, 12, tzinfo=timezone.utc).timestamp()


def test_a_freeze_that_is_still_on_at_the_end(runtime: ScfRuntime) -> None:
    before = state()
    with pytest.raises(ScfUsageError, match="a freeze_time that began inside it was still on"), runtime.clock.patched():
        freezegun.freeze_time("2020-02-02 12:00:00").start()
    assert state() == before


# -- time.sleep ------------------------------------------------------------------------------------------------------


def test_a_loop_that_polls_needs_no_real_seconds(deploy: Deploy, runtime: ScfRuntime) -> None:
    function = deploy(SLEEPS)
    polls = 0

    def poll() -> None:
        nonlocal polls
        while runtime.get_async_event_status(event.request_id).status != "FINISHED":
            time.sleep(5)
            polls += 1

    with runtime.clock.patched():
        event = function.invoke_async({"rows": 60})
        assert in_real_time(poll) < LONG
    assert (event.result, polls, runtime.clock.now) == ("done", 720, START + seconds(3600))
    assert event.duration == seconds(3600)


def test_a_sleep_ends_when_what_is_due_at_its_end_has_run(deploy: Deploy, runtime: ScfRuntime) -> None:
    event = deploy(SLEEPS).invoke_async({"rows": 10})
    with runtime.clock.patched():
        time.sleep(60)
        assert [line.text for line in event.log if line.source == "Custom"] == ["row 0"]
        time.sleep(59.999999)
        assert len([line for line in event.log if line.source == "Custom"]) == 1
        sleep_by_name(0.000001)
        assert len([line for line in event.log if line.source == "Custom"]) == 2


def test_a_sleep_opens_gates_as_advance_does(deploy: Deploy, runtime: ScfRuntime) -> None:
    event = deploy(SLEEPS).invoke_async({"rows": 10})
    event.wait_for_log("row 1")
    with runtime.clock.patched():
        assert event.doing == "gated"
        time.sleep(60)
    assert [line.text for line in event.log if line.source == "Custom"] == ["row 0", "row 1", "row 2"]


@pytest.mark.parametrize("wrong", [-1, "1", None, float("nan")])
def test_a_sleep_that_is_none_raises_what_it_always_does(runtime: ScfRuntime, wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError)) as real:
        time.sleep(wrong)
    with runtime.clock.patched(), pytest.raises(real.type) as found:
        time.sleep(wrong)
    assert str(found.value) == str(real.value)
    with runtime.clock.patched():
        time.sleep(0)
    assert runtime.clock.now == START


def test_a_sleep_that_something_real_holds_names_it(deploy: Deploy, make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime()
    with (tmp_path / "lock").open("w") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        deploy(HELD, to=runtime).invoke_async({"lock": locked.name}).settle()
        grow_impatient(runtime, 0.2)
        with runtime.clock.patched(), pytest.raises(CannotEndError) as error:
            time.sleep(5)
    assert str(error.value).startswith("time.sleep(5) in the test could not end: nothing has happened for 0.2 real")
    assert "held by a real wait" in str(error.value)


def test_a_sleep_of_a_predicate_is_refused(deploy: Deploy, runtime: ScfRuntime) -> None:
    deploy(SLEEPS).invoke_async({"rows": 3})
    with runtime.clock.patched(), pytest.raises(ScfUsageError, match=r"time.sleep\(1\) in a hook or a predicate"):
        runtime.wait_until(lambda: time.sleep(1), within=60)
    runtime.wait_all()


def test_what_waits_for_real_things_stays_real(runtime: ScfRuntime) -> None:
    with runtime.clock.patched():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=0.05)
        child.communicate(b"\n", timeout=60)
        assert child.returncode == 0
    assert runtime.clock.now == START


def test_a_fork_of_the_test_has_real_time(runtime: ScfRuntime) -> None:
    with runtime.clock.patched():
        pid = os.fork()
        if pid == 0:
            began = REAL.monotonic()
            time.sleep(0.01)
            real = REAL.monotonic() - began >= 0.01 and abs(time.time() - REAL.time_ns() / 1e9) < 60
            os._exit(0 if real else 1)
        assert os.waitpid(pid, 0)[1] == 0
    assert runtime.clock.now == START


@contextmanager
def interrupted_by(signum: int) -> Iterator[None]:
    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signum, interrupt)
    try:
        yield
    finally:
        signal.signal(signum, before)


@pytest.mark.parametrize("when", ["entering", "leaving"])
def test_an_exception_of_a_signal_handler_in_the_midst_of_a_switch(
    runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    of, name = (freezegun_classes, "push") if when == "entering" else (api._freeze_time, "stop")
    real = getattr(of, name)

    def send(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        real(*arguments)

    monkeypatch.setattr(of, name, send)
    body = []
    state_before = state()
    handlers_before = [signal.getsignal(signum) for signum in signal.valid_signals()]
    with interrupted_by(signal.SIGUSR1), pytest.raises(KeyboardInterrupt), runtime.clock.patched():
        body.append(time.time())
    assert state() == state_before
    assert body == ([START.timestamp()] if when == "leaving" else [])
    assert [signal.getsignal(signum) for signum in signal.valid_signals()] == handlers_before
    monkeypatch.undo()
    with runtime.clock.patched():
        time.sleep(5)
    assert runtime.clock.now == START + seconds(5)


def test_an_exception_of_a_signal_handler_ends_a_sleep(deploy: Deploy, runtime: ScfRuntime) -> None:
    """As pytest-timeout's, and Ctrl-C."""
    event = deploy(
        """
        import os, signal, time

        def main_handler(event, context):
            time.sleep(1)
            os.kill(event, signal.SIGUSR1)
            os.read(os.pipe()[0], 1)
        """
    ).invoke_async(os.getpid())
    event.settle()
    state_before = state()
    with interrupted_by(signal.SIGUSR1), pytest.raises(KeyboardInterrupt), runtime.clock.patched():
        time.sleep(5)
    assert state() == state_before
    assert runtime.clock.now == START + seconds(1)
    assert runtime.clock.next_due_us() is not None  # the timeout of the event, and nothing of the sleep
    assert lockstep_of(runtime).under_way == {}


# -- threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.repeat
def test_threads_that_sleep_at_once_do_not_add_up(runtime: ScfRuntime) -> None:
    ended: list[tuple[int, timedelta]] = []

    def work(number: int) -> None:
        time.sleep(number)
        ended.append((number, runtime.clock.now - START))

    with runtime.clock.patched():
        threads = [threading.Thread(target=work, args=(number,)) for number in (5, 5, 3, 7, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(ended) == [(number, seconds(number)) for number in (3, 5, 5, 5, 7)]


@pytest.mark.repeat
def test_each_thread_sees_the_times_of_its_own_sleeps(runtime: ScfRuntime) -> None:
    wrong: list[object] = []

    def work(seed: int) -> None:
        numbers = random.Random(seed)
        now = START.timestamp()
        for _ in range(20):
            for _ in range(numbers.randrange(3000)):
                pass
            duration = numbers.randrange(1, 1000)
            time.sleep(duration)
            now += duration
            if time.time() != now:
                wrong.append((seed, time.time(), now))
                return

    with runtime.clock.patched():
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.repeat
def test_a_poller_beside_a_call_that_waits(deploy: Deploy, runtime: ScfRuntime) -> None:
    """Both move the clock; it goes to the earliest."""
    event = deploy(SLEEPS).invoke_async({"rows": 5})
    seen: list[float] = []
    with runtime.clock.patched():

        def poll() -> None:
            while not event.ended:
                time.sleep(7)
                seen.append(time.time() - START.timestamp())

        poller = threading.Thread(target=poll)
        poller.start()
        event.wait()
        assert runtime.clock.now == START + seconds(300)
        poller.join()
    assert seen == [7 * number for number in range(1, 44)]


def test_a_thread_that_computes_for_ever_is_preempted(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(real_timeout=0.5)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    with runtime.clock.patched():
        spinning = threading.Thread(target=spin)
        spinning.start()
        time.sleep(5)
        time.sleep(5)
        stop.set()
        spinning.join()
    assert runtime.clock.now == START + seconds(10)


def test_a_thread_that_polls_something_real_is_preempted(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(real_timeout=2)
    ended, end = os.pipe()

    def poll() -> None:
        while not select.select([ended], [], [], 0.0001)[0]:
            pass

    with runtime.clock.patched():
        polling = threading.Thread(target=poll)
        polling.start()
        time.sleep(5)
        os.close(end)
        polling.join()
    os.close(ended)
    assert runtime.clock.now == START + seconds(5)


def test_nor_is_one_while_the_machine_stands_still(make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = make_runtime(real_timeout=2)
    monotonic, looks, stood_still, done = REAL.monotonic, 0, 0, threading.Event()

    def read() -> float:
        nonlocal looks
        looks += 1
        return monotonic() + stood_still

    def spin() -> None:
        nonlocal stood_still
        for seconds_more in (0, 100):
            stood_still = seconds_more
            until = looks + 20
            while looks < until:
                os.sched_yield()
        done.set()

    monkeypatch.setattr(REAL, "monotonic", read)
    with runtime.clock.patched():
        spinning = threading.Thread(target=spin)
        spinning.start()
        assert done.wait(60)
        spinning.join()
    assert START <= runtime.clock.now < START + seconds(1)


def test_a_thread_that_the_machine_does_not_let_run_is_not_preempted(
    make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = make_runtime(real_timeout=1, real_limit=2, compute_grace=60)
    ended, end = os.pipe()
    with runtime.clock.patched():
        waiting = threading.Thread(target=os.read, args=(ended, 1))
        waiting.start()
        task, activity = str(waiting.native_id), procfs.activity

        def without_a_processor(pid: int) -> tuple[bool, procfs.Picture]:
            running, picture = activity(pid)
            waited = f"0 {int(REAL.monotonic() * 1e9)} 0".encode()
            return running, tuple((task, "R", waited) if each[0] == task else each for each in picture)

        try:
            with monkeypatch.context() as patch:
                patch.setattr(procfs, "activity", without_a_processor)
                with pytest.raises(CannotEndError):
                    time.sleep(5)
            assert runtime.clock.now == START
        finally:
            os.close(end)
            waiting.join()
    os.close(ended)


def test_waits_of_threading_with_a_timeout(runtime: ScfRuntime) -> None:
    with runtime.clock.patched():
        never = threading.Event()
        assert not never.wait(30)
        assert runtime.clock.now == START + seconds(30.000001)
        with pytest.raises(queue.Empty):
            queue.Queue[int]().get(timeout=30)
        with pytest.raises(concurrent.futures.TimeoutError):
            concurrent.futures.Future[int]().result(timeout=30)
        assert not threading.Semaphore(0).acquire(timeout=30)
        assert START + seconds(120) <= runtime.clock.now < START + seconds(120.0001)
        with pytest.raises(RuntimeError, match="un-acquired lock"):
            threading.Condition().wait(1)


@pytest.mark.repeat
def test_waits_of_threading_that_end_before_their_timeout(runtime: ScfRuntime) -> None:
    with runtime.clock.patched():
        flag = threading.Event()
        timer = threading.Timer(10, flag.set)
        timer.start()
        assert flag.wait(60)
        assert runtime.clock.now == START + seconds(10.000001)
        timer.join()
        handed: queue.Queue[int] = queue.Queue()

        def put() -> None:
            time.sleep(5)
            handed.put(1)

        putting = threading.Thread(target=put)
        putting.start()
        assert handed.get(timeout=60) == 1
        assert runtime.clock.now == START + seconds(15.000001)
        putting.join()
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(time.sleep, number) for number in (2, 3, 1)]
            assert [future.result(60) for future in concurrent.futures.as_completed(futures, 60)] == [None] * 3
        assert runtime.clock.now == START + seconds(18.000001)


# -- asyncio ---------------------------------------------------------------------------------------------------------


def test_asyncio_sleeps_on_the_clock(runtime: ScfRuntime) -> None:
    with runtime.clock.patched():
        assert in_real_time(lambda: asyncio.run(asyncio.sleep(3600))) < LONG
    assert runtime.clock.now == START + seconds(3600)


def test_asyncio_after_years(runtime: ScfRuntime) -> None:
    """A float of so many seconds has steps of some nanoseconds, and asyncio adds one to the time that it compares."""
    with runtime.clock.patched():
        time.sleep(3 * 365 * 86_400)
        for duration in (3600, 0.1, 1e-6):
            asyncio.run(asyncio.sleep(duration))
    passed = runtime.clock.now - START - timedelta(days=3 * 365)
    assert seconds(3600.1) <= passed <= seconds(3600.100003)


@pytest.mark.parametrize("years", [0, 3, 30])
def test_no_timer_of_asyncio_goes_off_with_one_that_is_due_a_microsecond_earlier(runtime: ScfRuntime, years) -> None:
    async def took_us(microseconds: int) -> int:
        began = time.time_ns()
        await asyncio.sleep(microseconds / 1_000_000)
        return (time.time_ns() - began) // 1_000

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*map(took_us, range(1, 20)))

    runtime.clock.advance(timedelta(days=365 * years))
    with runtime.clock.patched():
        assert asyncio.run(all_of_them()) == list(range(1, 20))


def test_timeouts_and_tasks_of_asyncio(runtime: ScfRuntime) -> None:
    order: list[tuple[str, float]] = []

    async def work(name: str, *durations: float) -> None:
        for duration in durations:
            await asyncio.sleep(duration)
            order.append((name, time.time() - START.timestamp()))

    async def main() -> None:
        await asyncio.gather(work("a", 10, 10), work("b", 15, 15))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 70)
        await asyncio.wait_for(work("c", 5), 70)
        done, pending = await asyncio.wait([asyncio.ensure_future(work("d", 100))], timeout=10)
        assert (len(done), len(pending)) == (0, 1)
        pending.pop().cancel()

    with runtime.clock.patched():
        asyncio.run(main())
    assert order == [("a", 10), ("b", 15), ("a", 20), ("b", 30), ("c", 105)]
    assert runtime.clock.now == START + seconds(115)


@pytest.mark.repeat
def test_a_loop_and_its_threads(deploy: Deploy, runtime: ScfRuntime) -> None:
    function = deploy(SLEEPS)

    async def main() -> list[timedelta]:
        events = [function.invoke_async({"rows": rows}) for rows in (3, 1)]

        async def ended_after(index: int) -> timedelta:
            await asyncio.to_thread(events[index].wait)
            return runtime.clock.now - START

        async def slept(duration: float) -> timedelta:
            await asyncio.to_thread(time.sleep, duration)
            return runtime.clock.now - START

        async def awaited(duration: float) -> timedelta:
            await asyncio.sleep(duration)
            return runtime.clock.now - START

        return list(await asyncio.gather(ended_after(0), ended_after(1), slept(100), awaited(20), awaited(500)))

    with runtime.clock.patched():
        assert asyncio.run(main()) == [seconds(number) for number in (180, 60, 100, 20, 500)]


def test_a_thread_that_ends_while_it_is_looked_at_was_not_at_rest(
    runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the look is the same as one from before it began."""
    go, done, over = threading.Event(), threading.Event(), threading.Event()
    ends = threading.Thread(target=lambda: (go.wait(), done.set()))
    state_of = procfs.state_of

    def looked_at(pid: int, task: str) -> bytes:
        if task == str(ends.native_id):
            go.set()
            ends.join()
        return state_of(pid, task)

    monkeypatch.setattr(procfs, "state_of", looked_at)
    with runtime.clock.patched():
        rests = threading.Thread(target=over.wait)
        rests.start()
        time.sleep(1)
        ends.start()
        assert done.wait(300)
        assert runtime.clock.now == START + seconds(1)
        over.set()
        rests.join()


@pytest.mark.parametrize(("of", "name"), [(threading, "active_count"), (procfs, "activity")])
def test_a_thread_that_ended_since_the_last_look_may_have_done_what_is_waited_for(
    runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, of: types.ModuleType, name: str
) -> None:
    slept, go, done = threading.Event(), threading.Event(), threading.Event()
    ends = threading.Thread(target=lambda: (time.sleep(10), slept.set(), go.wait(), done.set()))
    real = getattr(of, name)

    def looked_at(*args: Any) -> Any:
        if slept.is_set() and not go.is_set():
            go.set()
            ends.join()
        return real(*args)

    monkeypatch.setattr(of, name, looked_at)
    with runtime.clock.patched():
        ends.start()
        assert done.wait(60)
        assert START + seconds(10) <= runtime.clock.now < START + seconds(10.1)


def test_a_timeout_of_a_loop_with_connections_comes_before_what_another_thread_waits_for(
    runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop's connections have real time first, and meanwhile the other thread's wait moves no clock."""
    monkeypatch.setattr(test_process, "REAL_GRACE", 0.2)
    came: list[timedelta] = []

    async def times_out() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(reader.read(1), 10)
            came.append(runtime.clock.now - START)
            writer.close()

    with runtime.clock.patched():
        sleeping = threading.Thread(target=time.sleep, args=(60,))
        sleeping.start()
        asyncio.run(times_out())
        sleeping.join()
    assert came == [seconds(10)]


def test_a_loop_whose_grace_ends_during_a_look_at_the_threads_is_at_work(
    runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look has found its thread asleep in its grace; it goes on to its own wait before the look has ended."""
    monkeypatch.setattr(test_process, "REAL_GRACE", 0.2)
    loop, activity = threading.get_native_id(), procfs.activity
    drive, select_of_python = Lockstep.drive, selectors.EpollSelector.select
    in_grace, looks, waits, went_on = threading.Event(), 0, threading.Event(), False
    came: list[timedelta] = []

    def real_select(selector: selectors.EpollSelector, timeout: float) -> object:
        if timeout and threading.get_native_id() == loop:
            in_grace.set()
        return select_of_python(selector, timeout)

    def drives(lockstep: Lockstep, call: calls.Call) -> None:
        if in_grace.is_set() and threading.get_native_id() == loop:
            waits.set()
        drive(lockstep, call)

    def until_the_loop_goes_on(pid: int) -> tuple[bool, procfs.Picture]:
        nonlocal looks, went_on
        found = activity(pid)
        if in_grace.is_set() and threading.get_native_id() != loop and not went_on:
            looks += 1
            if looks == 3:  # it was asleep at the look before, too
                while not waits.is_set():
                    REAL.sleep(0.001)
                went_on = True
        return found

    async def times_out() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(reader.read(1), 10)
            came.append(runtime.clock.now - START)
            writer.close()

    monkeypatch.setattr(test_process, "_real_select", real_select)
    monkeypatch.setattr(Lockstep, "drive", drives)
    monkeypatch.setattr(procfs, "activity", until_the_loop_goes_on)
    with runtime.clock.patched():
        sleeping = threading.Thread(target=time.sleep, args=(60,))
        sleeping.start()
        asyncio.run(times_out())
        sleeping.join()
    assert (came, went_on) == ([seconds(10)], True)


def test_a_thread_that_is_joined_has_ended_in_all_its_parts(runtime: ScfRuntime) -> None:
    """Python no longer counts the thread, but it runs on while its thread-local objects are finalised."""
    own = threading.local()
    ended = threading.Event()

    class TakesItsTime:
        def __del__(self) -> None:
            for _ in range(200):
                hashlib.sha256(bytes(1 << 20))  # in which other threads run

    def ends() -> None:
        own.value = TakesItsTime()

    def joins() -> None:
        thread = threading.Thread(target=ends)
        thread.start()
        thread.join()
        ended.set()

    with runtime.clock.patched():
        joining = threading.Thread(target=joins)
        joining.start()
        assert ended.wait(50)
        joining.join()
    assert runtime.clock.now == START


def test_a_loop_with_a_server_of_its_own(runtime: ScfRuntime) -> None:
    """Connections are real; what comes within the timeout does come."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        await asyncio.sleep(30)
        writer.write(line.upper())
        writer.close()

    async def main() -> bytes:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        found = await asyncio.wait_for(reader.readline(), 60)
        writer.close()
        server.close()
        await asyncio.sleep(5)
        return found

    with runtime.clock.patched():
        assert asyncio.run(main()) == b"HELLO\n"
    assert runtime.clock.now == START + seconds(35)
