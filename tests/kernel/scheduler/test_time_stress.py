"""Races that show once in thousands of runs: many rounds of what wrong bookkeeping of waits would lose.

SCF_STRESS=10000 runs that many rounds of each; `--timeout=0` gives them the time.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

pytestmark = pytest.mark.leases

ROUNDS = int(os.environ.get("SCF_STRESS", "200"))
BOUNDS = {"real_timeout": 60, "real_limit": 1800, "compute_grace": 600}

RING = """
import threading, time

THREADS = 16

def main_handler(rounds, context):
    began = time.time_ns()
    locks = [threading.Lock() for _ in range(THREADS)]
    for lock in locks:
        lock.acquire()
    hops = []
    sees = []

    def carries(number):
        for _ in range(rounds):
            locks[number].acquire()
            if number == 0:
                time.sleep(0.001)
            hops.append(number)
            locks[(number + 1) % THREADS].release()

    def watches():
        for _ in range(rounds):
            time.sleep(0.001)
            sees.append(len(hops))

    threads = [threading.Thread(target=carries, args=[number]) for number in range(THREADS)]
    watch = threading.Thread(target=watches)
    for thread in threads:
        thread.start()
    watch.start()
    locks[0].release()
    for thread in threads:
        thread.join()
    watch.join()
    in_order = hops == list(range(THREADS)) * rounds
    # The ring's first thread was started before it, so it comes first at each instant; the ring goes round after both.
    seen = sees == [number * THREADS + 1 for number in range(rounds)]
    return [in_order, seen, (time.time_ns() - began) // 1000]
"""


@pytest.mark.parametrize("leases", [True, False])
def test_a_ring_of_locks(deploy, make_runtime, leases: bool) -> None:
    function = deploy(RING, to=make_runtime(leases=leases, **BOUNDS))

    rounds = ROUNDS if leases else ROUNDS // 4  # without, each sleep is a message to the test's process
    assert function.run(rounds) == [True, True, rounds * 1_000]


USES = {
    # What the main thread waits for, what the handler of SIGTERM does, and what has to be there first.
    "Lock": ("thing.acquire(timeout=1000)", "thing.release()", "thing = threading.Lock(); thing.acquire()"),
    "RLock": (
        "thing.acquire(timeout=1000) and (thing.release(), again.put(None), taken.get())",
        "thing.acquire(blocking=False) or let_go.put(None)",
        """thing, taken, let_go, again = threading.RLock(), queue.Queue(), queue.Queue(), queue.Queue()
    def holds():
        for _ in range(rounds):
            with thing:
                taken.put(None)
                let_go.get()
            again.get()
        taken.put(None)
    threading.Thread(target=holds, daemon=True).start()
    taken.get()""",
    ),
    "Queue": ("thing.get(timeout=1000)", "thing.put('item')", "thing = queue.Queue()"),
    "SimpleQueue": ("thing.get(timeout=1000)", "thing.put('item')", "thing = queue.SimpleQueue()"),
    "Condition": ("waits(thing)", "notifies(thing)", "thing = threading.Condition()"),
    "Event": ("thing.wait(1000) and (thing.clear() or True)", "thing.set()", "thing = threading.Event()"),
}

HANDLER = """
import os, queue, signal, threading, time

def waits(condition):
    with condition:
        return condition.wait(1000)

def notifies(condition):
    with condition:
        condition.notify()

def main_handler(rounds, context):
    began = time.time()
    {prepare}
    signal.signal(signal.SIGTERM, lambda *_: {handles})
    for number in range(rounds):
        assert {waits}, number
    return time.time() - began
"""


@pytest.mark.parametrize("use", USES)
def test_a_handler_of_sigterm_ends_the_wait_of_the_main_thread_by_the_object_itself(
    deploy, make_runtime, use: str
) -> None:
    waits, handles, prepare = USES[use]
    source = HANDLER.format(waits=waits, handles=handles, prepare=prepare)
    event = deploy(source, to=make_runtime(**BOUNDS)).invoke_async(ROUNDS)
    event.settle()
    for _ in range(ROUNDS):
        assert event.doing == "parked"
        event.terminate(grace_shutdown=True)

    assert event.wait().result == 0


FLOOD = """
import os, queue, signal, threading, time

def main_handler(rounds, context):
    thing = {made}
    handled = 0

    def on_term(signum, frame):
        nonlocal handled
        {handles}
        handled += 1

    received, acknowledge = os.pipe()
    signal.signal(signal.SIGTERM, on_term)
    main = os.getpid()
    sender = os.fork()
    if sender == 0:
        for number in range(rounds):
            os.kill(main, signal.SIGTERM)
            os.read(received, 1)
            for _ in range(number * 7919 % 1009):  # it meets the main thread somewhere else each time
                pass
        os._exit(0)
    for sent in range(rounds):
        while handled == sent:
            {uses}
        os.write(acknowledge, b"x")  # the next one comes at any moment from here on
    _, status = os.waitpid(sender, 0)
    time.sleep(1)
    return [handled, status]
"""

FLOODS = {
    "Lock": ("threading.Lock()", "thing.acquire(blocking=False) and thing.release()", "with thing: pass"),
    "RLock": ("threading.RLock()", "thing.acquire(); thing.release()", "with thing: pass"),
    "SimpleQueue": ("queue.SimpleQueue()", "thing.put('item')", "thing.put('item'); thing.get(timeout=1000)"),
    "SimpleQueue, waiting": ("queue.SimpleQueue()", "thing.put('item')", "thing.get(timeout=1000)"),
    "Condition": (
        "threading.Condition()",
        "thing.acquire(); thing.notify(); thing.release()",
        "thing.acquire(); thing.notify(); thing.release()",
    ),
}


@pytest.mark.parametrize("use", FLOODS)
def test_a_handler_of_sigterm_that_comes_at_any_moment_uses_the_object_that_the_main_thread_uses(
    deploy, make_runtime, use: str
) -> None:
    made, handles, uses = FLOODS[use]
    event = deploy(FLOOD.format(made=made, handles=handles, uses=uses), to=make_runtime(**BOUNDS)).invoke_async(ROUNDS)

    assert event.wait().result == [ROUNDS, 0]
    assert event.duration == timedelta(seconds=1)  # no wait has passed before a signal that its child had sent


def test_what_another_thread_hands_to_a_loop_of_asyncio_comes_at_its_time(deploy, make_runtime) -> None:
    function = deploy(
        """
        import asyncio, threading, time

        def main_handler(rounds, context):
            began = time.time_ns()
            late = []

            async def waits():
                loop = asyncio.get_running_loop()
                futures = [loop.create_future() for _ in range(rounds)]

                def calls():
                    for future in futures:
                        time.sleep(0.001)
                        loop.call_soon_threadsafe(future.set_result, time.time_ns())

                thread = threading.Thread(target=calls)
                thread.start()
                for future in futures:
                    at = await asyncio.wait_for(future, 15)
                    if at != time.time_ns():
                        late.append([at - began, time.time_ns() - began])
                thread.join()

            asyncio.run(waits())
            return [late, (time.time_ns() - began) // 1_000]
        """,
        to=make_runtime(**BOUNDS),
    )

    assert function.run(ROUNDS) == [[], ROUNDS * 1_000]
