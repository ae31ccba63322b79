"""Random programs of threads that sleep, lock, wait and signal each other, against a model of what they should do.

``SCF_PROGRAMS=10000`` tries more of them.
"""

from __future__ import annotations

import heapq
import math
import os
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_scf_async.function import Function
from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

THREADS = 4
EACH = 2
"""How many there are of each: locks, events, semaphores, queues, conditions."""
PROGRAMS = int(os.environ.get("SCF_PROGRAMS", "150"))

Act = tuple[str, int, int]
"""What to do, with which of the objects, and µs: how long, or for how long at most."""

HANDLER = """
    import os, queue, signal, sys, threading, time

    EACH = range(2)

    def main_handler(programs, context):
        locks = [threading.Lock() for _ in EACH]
        happened = [threading.Event() for _ in EACH]
        semaphores = [threading.Semaphore(1) for _ in EACH]
        queues = [queue.Queue(1) for _ in EACH]
        conditions = [threading.Condition() for _ in EACH]
        trace = []
        began, uptime = time.time_ns(), time.monotonic_ns() // 1000

        def stamp(name, what):
            trace.append([(time.time_ns() - began) // 1000, name, what])

        def on_signal(which):
            stamp("handler", which)
            if which:
                happened[which].set()
            else:
                time.sleep(0.125)
                stamp("handler", "ends")

        signal.signal(signal.SIGUSR1, lambda *_: on_signal(0))
        signal.signal(signal.SIGUSR2, lambda *_: on_signal(1))
        signal.signal(signal.SIGTERM, lambda *_: on_signal(1))

        def got(call, *args):
            try:
                return call(*args) or "something"
            except (queue.Empty, queue.Full):
                return "nothing"

        def run(name, program):
            for act, which, amount in program:
                seconds = amount / 1_000_000
                if act == "sleep":
                    time.sleep(seconds)
                elif act == "lock":
                    with locks[which]:
                        stamp(name, f"has {which}")
                        time.sleep(seconds)
                elif act == "try":
                    if locks[which].acquire(timeout=seconds):
                        stamp(name, f"has {which}")
                        time.sleep(0.25)
                        locks[which].release()
                elif act == "set":
                    happened[which].set()
                elif act == "clear":
                    happened[which].clear()
                elif act == "see":
                    stamp(name, f"saw {happened[which].wait(seconds)}")
                elif act == "acquire":
                    stamp(name, f"acquired {semaphores[which].acquire(timeout=seconds)}")
                elif act == "release":
                    semaphores[which].release()
                elif act == "put":
                    stamp(name, "put " + got(queues[which].put, f"{name}'s", True, seconds))
                elif act == "get":
                    stamp(name, "got " + got(queues[which].get, True, seconds))
                elif act == "await":
                    with conditions[which]:
                        stamp(name, f"notified {conditions[which].wait(seconds)}")
                elif act == "notify":
                    with conditions[which]:
                        conditions[which].notify()
                elif act == "signal":
                    os.kill(os.getpid(), (signal.SIGUSR1, signal.SIGUSR2)[which])
                stamp(name, act)

        gate = threading.Event()
        threads = [
            threading.Thread(target=lambda n=n, p=p: (gate.wait(), run(n, p))) for n, p in enumerate(programs) if n
        ]
        for thread in threads:
            thread.start()
        time.sleep(1)
        gate.set()
        run(0, programs[0])
        for thread in threads:
            thread.join()
        return [uptime, trace]
"""


class Waiter:
    """One call of a thread that blocks."""

    def __init__(self) -> None:
        self.over = False
        self.woken = False
        self.suspended = False
        """A signal's handler is on top of it."""
        self.registration = (0, 0, 0)
        self.due: int | None = None


Waiters = deque[Waiter]
Steps = Iterator[Waiter]


def waiters() -> list[Waiters]:
    return [deque() for _ in range(EACH)]


class Model:
    """Threads as generators that yield what they wait for; ready ones go in order of (due, beginning, thread).

    Thread 0 is the main thread, on which the handlers of signals run. *uptime* is what the handler's monotonic clock
    shows in the beginning, in µs: the standard library reckons with its floats.
    """

    def __init__(self, uptime: int) -> None:
        self.uptime = uptime
        self.now = 1_000_000
        self.registered = 0
        self.heap: list[tuple[int, tuple[int, int, int], Waiter]] = []
        self.current = 0
        """The thread that runs."""
        self.owned = [False] * EACH
        self.want_lock = waiters()
        self.happened = [False] * EACH
        self.observers = waiters()
        self.free = [1] * EACH
        self.want_free = waiters()
        self.items: list[list[str]] = [[] for _ in range(EACH)]
        self.want_item, self.want_room = waiters(), waiters()
        self.listeners = waiters()
        self.running: dict[int, tuple[int, Steps]] = {}
        """The thread that goes on when a wait is over, by the wait's id."""
        self.mains: list[Waiter] = []
        """What the main thread waits for: its program, and the handlers that interrupted it, the last one on top."""
        self.trace: list[list[Any]] = []

    def register(self, wait: Waiter, due: int | None) -> None:
        self.registered += 1
        thread = self.current if due is not None and due > self.now else 0  # what is ready takes turns
        wait.registration = self.now, thread, self.registered
        wait.due = due
        if due is not None:
            heapq.heappush(self.heap, (due, wait.registration, wait))

    def wait(self, due: int | None) -> Waiter:
        wait = Waiter()
        self.register(wait, due)
        return wait

    def wake(self, waiting: Waiters, *, of_lock: bool = False) -> None:
        """The first that still waits goes to the end of those that are ready.

        A thread with a handler on top checks its wait itself once the handler ends, so a lock wakes the next one, too.
        """
        while waiting:
            wait = waiting.popleft()
            if wait.over or wait.woken:
                continue
            wait.woken = True
            if not wait.suspended:
                self.register(wait, self.now)
                return
            wait.due = self.now
            if not of_lock:
                return

    def monotonic(self) -> float:
        return (self.uptime + self.now) / 1_000_000

    def notified(self, waiting: Waiters, seconds: float) -> Iterator[Waiter]:
        """``Condition.wait``."""
        wait = self.wait(self.now + max(1, math.ceil(seconds * 1_000_000 - 0.001)) + 1)
        waiting.append(wait)
        yield wait
        if not wait.woken:
            waiting.remove(wait)
        return wait.woken

    def until(self, met: Callable[[], bool], waiting: Waiters, seconds: float) -> Iterator[Waiter]:
        """How ``Semaphore.acquire`` and ``Queue`` wait for at most *seconds*: a wake-up may come too late for one."""
        end = self.monotonic() + seconds
        while not met():
            rest = end - self.monotonic()
            if rest <= 0:
                return False
            yield from self.notified(waiting, rest)
        return True

    def lock(self, which: int, due: int | None) -> Iterator[Waiter]:
        while self.owned[which]:
            wait = self.wait(due)
            self.want_lock[which].append(wait)
            yield wait
            if not wait.woken:
                self.want_lock[which].remove(wait)
                if self.owned[which]:
                    return False
        self.owned[which] = True
        return True

    def unlock(self, which: int) -> None:
        self.owned[which] = False
        self.wake(self.want_lock[which], of_lock=True)

    def set(self, which: int) -> None:
        self.happened[which] = True
        while self.observers[which]:
            self.wake(self.observers[which])

    def run(self, name: int, program: list[Act]) -> Iterator[Waiter]:
        for act, which, amount in program:
            said = yield from self.do(name, act, which, amount)
            if said:
                self.trace.append([self.now, name, said])
            self.trace.append([self.now, name, act])

    def do(self, name: int, act: str, which: int, amount: int) -> Iterator[Waiter]:
        seconds = amount / 1_000_000
        if act == "sleep":
            yield self.wait(self.now + amount)
        elif act in ("lock", "try"):
            due = None if act == "lock" else self.now + amount + 1
            if (yield from self.lock(which, due)):
                self.trace.append([self.now, name, f"has {which}"])
                yield self.wait(self.now + (amount if act == "lock" else 250_000))
                self.unlock(which)
        elif act == "set":
            self.set(which)
        elif act == "clear":
            self.happened[which] = False
        elif act == "see":
            return f"saw {self.happened[which] or (yield from self.notified(self.observers[which], seconds))}"
        elif act == "acquire":
            free = yield from self.until(lambda: self.free[which] > 0, self.want_free[which], seconds)
            self.free[which] -= free
            return f"acquired {free}"
        elif act == "release":
            self.free[which] += 1
            self.wake(self.want_free[which])
        elif act == "put":
            room = yield from self.until(lambda: not self.items[which], self.want_room[which], seconds)
            if room:
                self.items[which].append(f"{name}'s")
                self.wake(self.want_item[which])
            return f"put {'something' if room else 'nothing'}"
        elif act == "get":
            if not (yield from self.until(lambda: bool(self.items[which]), self.want_item[which], seconds)):
                return "got nothing"
            item = self.items[which].pop(0)
            self.wake(self.want_room[which])
            return f"got {item}"
        elif act == "await":
            return f"notified {(yield from self.notified(self.listeners[which], seconds))}"
        elif act == "notify":
            self.wake(self.listeners[which])
        elif act == "signal":
            yield from self.signal(name, which)
        return None

    def signal(self, name: int, which: int) -> Iterator[Waiter]:
        """The handler runs at once; a thread that is not the main one goes on in the order of the run queue."""
        if name == 0:
            yield from self.handler(which)
            return
        mine = self.wait(self.now)
        self.interrupt(which)
        yield mine

    def handler(self, which: int) -> Iterator[Waiter]:
        self.trace.append([self.now, "handler", which])
        if which:
            self.set(which)
        else:
            yield self.wait(self.now + 125_000)
            self.trace.append([self.now, "handler", "ends"])

    def interrupt(self, which: int) -> None:
        """Have the main thread call the handler of a signal."""
        if self.mains:
            self.mains[-1].suspended = True
        self.go_on(0, self.handler(which))

    def go_on(self, name: int, thread: Steps) -> None:
        interrupted, self.current = self.current, name
        wait = next(thread, None)
        self.current = interrupted
        if wait is not None:
            self.running[id(wait)] = name, thread
            if name == 0:
                self.mains.append(wait)
        elif name == 0 and self.mains:  # a handler is through
            below = self.mains[-1]
            below.suspended = False
            if below.due is not None:
                heapq.heappush(self.heap, (below.due, below.registration, below))

    def go(self, programs: list[list[Act]], sigterms: Sequence[int] = ()) -> list[list[Any]]:
        """The trace of *programs*; the test sends a SIGTERM at each instant of *sigterms*, as long as they run."""
        sending = deque(sorted(sigterms))
        for name, program in enumerate(programs):
            wait = self.wait(self.now)
            self.running[id(wait)] = name, self.run(name, program)
            if name == 0:
                self.mains.append(wait)
        while self.heap:
            due, registration, wait = self.heap[0]
            if wait.over or wait.suspended or wait.registration != registration:
                heapq.heappop(self.heap)
                continue
            if sending and sending[0] < due:
                self.now = sending.popleft()
                self.interrupt(1)
                continue
            heapq.heappop(self.heap)
            self.now = max(self.now, due)
            wait.over = True
            name, thread = self.running.pop(id(wait))
            if name == 0:
                self.mains.pop()
            self.go_on(name, thread)
        return self.trace


ACTS = ("sleep", "lock", "try", "set", "clear", "see", "acquire", "release", "put", "get", "await", "notify", "signal")
AMOUNTS = (1, 2, 250_000, 500_000, 500_000, 1_000_000)
an_act = st.tuples(st.sampled_from(ACTS), st.integers(0, EACH - 1), st.sampled_from(AMOUNTS))


def assert_as_modelled(function: Function, programs: list[list[Act]]) -> None:
    uptime, trace = function.run(programs)
    assert trace == Model(uptime).go(programs)


@pytest.mark.timeout(120 + PROGRAMS / 10)
def test_random_programs_do_what_the_model_says(deploy) -> None:
    function = deploy(HANDLER)

    @settings(
        max_examples=PROGRAMS, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(st.lists(an_act, min_size=1, max_size=8), min_size=1, max_size=THREADS))
    def check(programs: list[list[Act]]) -> None:
        assert_as_modelled(function, programs)

    check()


def long_programs(chance: random.Random) -> list[list[Act]]:
    def an_act() -> Act:
        return chance.choice(ACTS), chance.randrange(EACH), chance.choice(AMOUNTS)

    return [[an_act() for _ in range(40)] for _ in range(12)]


@pytest.mark.parametrize("seed", range(10))
def test_long_random_programs_of_many_threads(deploy, seed: int) -> None:
    assert_as_modelled(deploy(HANDLER), long_programs(random.Random(seed)))


@pytest.mark.parametrize("seed", range(10))
def test_long_random_programs_that_are_sent_sigterm(deploy, runtime: ScfRuntime, seed: int) -> None:
    chance = random.Random(seed)
    programs = long_programs(chance)
    sigterms = sorted(chance.randrange(1_000_001, 9_000_000) for _ in range(8))
    event = deploy(HANDLER).invoke_async(programs)
    for at in sigterms:
        runtime.clock.move_to(event.started_at + timedelta(microseconds=at))
        if not event.ended:
            event.terminate(grace_shutdown=True)

    uptime, trace = event.wait().result

    assert trace == Model(uptime).go(programs, sigterms)
    assert len(event.signals) >= 3


@pytest.mark.parametrize("size", [2, 8])
def test_the_model_and_the_handler_agree_on_a_contended_lock(deploy, size: int) -> None:
    programs: list[list[Act]] = [[("lock", 0, 10)] * 3 for _ in range(size)]

    assert_as_modelled(deploy(HANDLER), programs)
