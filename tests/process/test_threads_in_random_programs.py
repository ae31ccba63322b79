"""Random programs of threads that sleep, lock and signal each other, against a small model of what they should do."""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

THREADS = 4
LOCKS = 2

HANDLER = """
    import threading, time

    def main_handler(programs, context):
        locks = [threading.Lock() for _ in range(2)]
        happened = [threading.Event() for _ in range(2)]
        trace = []
        began = time.time_ns()

        def stamp(name, what):
            trace.append([(time.time_ns() - began) // 1000, name, what])

        def run(name, program):
            for act, which, amount in program:
                if act == "sleep":
                    time.sleep(amount / 1_000_000)
                elif act == "lock":
                    with locks[which]:
                        stamp(name, f"has {which}")
                        time.sleep(amount / 1_000_000)
                elif act == "set":
                    happened[which].set()
                else:
                    stamp(name, f"saw {happened[which].wait(amount / 1_000_000)}")
                stamp(name, act)

        gate = threading.Event()
        threads = [threading.Thread(target=lambda n=n, p=p: (gate.wait(), run(n, p))) for n, p in enumerate(programs)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        gate.set()
        for thread in threads:
            thread.join()
        return trace
"""


class Model:
    """Threads as generators that yield what they wait for; ready ones go in order of (due, registration)."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.registered = 0
        self.heap: list[tuple[int, int, dict[str, Any]]] = []
        self.owner = [False] * LOCKS
        self.waiting: list[deque[dict[str, Any]]] = [deque() for _ in range(LOCKS)]
        self.happened = [False] * LOCKS
        self.observers: list[deque[dict[str, Any]]] = [deque() for _ in range(LOCKS)]
        self.trace: list[list[Any]] = []

    def register(self, wait: dict[str, Any], due: int | None) -> None:
        self.registered += 1
        wait["registration"] = self.registered
        if due is not None:
            heapq.heappush(self.heap, (due, self.registered, wait))

    def wake(self, wait: dict[str, Any]) -> bool:
        if wait["over"] or wait["woken"]:
            return False
        wait["woken"] = True
        self.register(wait, self.now)
        return True

    def wait(self, due: int | None) -> dict[str, Any]:
        wait = {"over": False, "woken": False, "registration": 0}
        self.register(wait, due)
        return wait

    def run(self, name: int, program: list[tuple[str, int, int]]):
        for act, which, amount in program:
            if act == "sleep":
                yield self.wait(self.now + amount)
            elif act == "lock":
                while self.owner[which]:
                    wait = self.wait(None)
                    self.waiting[which].append(wait)
                    yield wait
                self.owner[which] = True
                self.trace.append([self.now, name, f"has {which}"])
                yield self.wait(self.now + amount)
                self.owner[which] = False
                while self.waiting[which] and not self.wake(self.waiting[which].popleft()):
                    pass
            elif act == "set":
                self.happened[which] = True
                while self.observers[which]:
                    self.wake(self.observers[which].popleft())
            else:
                if not self.happened[which]:
                    wait = self.wait(self.now + amount + 1)
                    self.observers[which].append(wait)
                    yield wait
                    if not wait["woken"] and wait in self.observers[which]:
                        self.observers[which].remove(wait)
                self.trace.append([self.now, name, f"saw {self.happened[which]}"])
            self.trace.append([self.now, name, act])

    def go(self, programs: list[list[tuple[str, int, int]]]) -> list[list[Any]]:
        running = {}
        for name, program in enumerate(programs):
            wait = self.wait(self.now)
            running[id(wait)] = (wait, self.run(name, program))
        while self.heap:
            due, registration, wait = heapq.heappop(self.heap)
            if wait["over"] or wait["registration"] != registration:
                continue
            self.now = max(self.now, due)
            wait["over"] = True
            _, thread = running.pop(id(wait))
            following = next(thread, None)
            if following is not None:
                running[id(following)] = (following, thread)
        return self.trace


amounts = st.sampled_from([1, 2, 250_000, 500_000, 500_000, 1_000_000])
act = st.tuples(st.sampled_from(["sleep", "lock", "set", "see"]), st.integers(0, LOCKS - 1), amounts)


def test_random_programs_do_what_the_model_says(deploy) -> None:
    function = deploy(HANDLER)

    @settings(max_examples=120, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.lists(act, min_size=1, max_size=6), min_size=1, max_size=THREADS))
    def check(programs: list[list[tuple[str, int, int]]]) -> None:
        assert function.run(programs) == Model().go(programs)

    check()


@pytest.mark.parametrize("size", [2, 8])
def test_the_model_and_the_handler_agree_on_a_contended_lock(deploy, size: int) -> None:
    programs: list[list[tuple[str, int, int]]] = [[("lock", 0, 10)] * 3 for _ in range(size)]

    assert deploy(HANDLER).run(programs) == Model().go(programs)
