"""Reads of the clock: those of a loop that polls it take simulated time, and all others none."""

from __future__ import annotations

import textwrap

import pytest

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

# of code: 3,000 times what reads the clock, without polling it
PREPARED = """
    import asyncio, concurrent.futures, os, queue, select, socket, sqlite3, time, uuid

    def main_handler(event, context):
        full, files = queue.Queue(3_000), open("/tmp/lines", "w")
        for number in range(3_000):
            full.put(number)
        done = concurrent.futures.Future()
        done.set_result(1)
        fd = os.open("/tmp/bytes", os.O_WRONLY | os.O_CREAT)
        one, other = socket.socketpair()
        database = sqlite3.connect("/tmp/database")
        database.executescript("pragma journal_mode=memory; pragma synchronous=off; create table t (at)")

        async def sleeps():
            try:
                await asyncio.wait_for(asyncio.sleep(0.9), 1.0)
            except asyncio.TimeoutError:
                return 0
            return 1

        async def reads():
            asyncio.get_running_loop().time()

        async def all_of(what):
            return await asyncio.gather(*[what() for _ in range(3_000)])

        async def calls():
            loop, times = asyncio.get_running_loop(), []
            for _ in range(3_000):
                loop.call_soon(lambda: times.append(time.monotonic()))
            await asyncio.sleep(0)
            return len(times)

        def selects():
            callbacks = [time.time] * 3_000
            def call(callback):
                return callback()
            while callbacks:
                select.select([], [], [], 0)
                for callback in callbacks:
                    call(callback)
                callbacks = []

        began = time.time()
        result = None
"""
NO_TIME = {
    "tasks that begin to sleep": ("result = sum(asyncio.run(all_of(sleeps)))", 3_000, 0.9),
    "tasks that read the clock": ("asyncio.run(all_of(reads))", None, 0),
    "callbacks of a loop of asyncio": ("result = asyncio.run(calls())", 3_000, 0),
    "callbacks of a loop of one's own": ("selects()", None, 0),
    "two places": ("[time.time() for _ in range(990)]\n[time.time() for _ in range(990)]", None, 0),
    "places in turn": ("[(time.time(), time.time(), time.time(), time.time()) for _ in range(750)]", None, 0),
    "another place in turn": ("[(time.monotonic(), time.monotonic(), time.monotonic()) for _ in range(990)]", None, 0),
    "Queue.get": ("result = sum(full.get(timeout=1) == number for number in range(3_000))", 3_000, 0),
    "as_completed": ("for _ in range(1_500): list(concurrent.futures.as_completed([done], timeout=1))", None, 0),
    "Executor.map": (
        "with concurrent.futures.ThreadPoolExecutor(2) as pool: result = sum(pool.map(bool, [1] * 1_500, timeout=9))",
        1_500,
        0,
    ),
    "lines of a file": ('for _ in range(3_000): files.write(f"{time.time()}\\n"); files.flush()', None, 0),
    "os.write": ("for _ in range(3_000): os.write(fd, str(time.monotonic()).encode())", None, 0),
    "sockets": ("for _ in range(3_000): one.send(b'-'); other.recv(1); time.perf_counter()", None, 0),
    "SQLite": (
        'for _ in range(1_500): database.execute("insert into t values (?)", [time.time()]); database.commit()',
        None,
        0,
    ),
    "uuid1": ("result = len({uuid.uuid1() for _ in range(3_000)})", 3_000, 0),
}


@pytest.mark.parametrize(("code", "result", "seconds"), NO_TIME.values(), ids=NO_TIME)
def test_reads_that_do_not_poll_take_no_time(deploy, code, result, seconds):
    source = textwrap.dedent(PREPARED) + textwrap.indent(f"{code}\nreturn [result, time.time() - began]\n", "    ")
    if "asyncio" not in code:  # which takes longer to import than what is done here
        source = source.replace("import asyncio, ", "import ", 1)
    found, took = deploy(source).run()

    assert found == result
    assert took == pytest.approx(seconds, abs=1e-6)


# of code that ends five seconds after its begin
POLLS = {
    "in a function": "while now() < end: pass",
    "in two places": "while time.time() < end and now() < end: pass",
    "with time.sleep(0)": "while time.time() < end: time.sleep(0)",
    "with select(0)": "while time.time() < end: select.select([], [], [], 0)",
    "with a selector": "while time.time() < end: selector.select(0)",
    "of a file": "while time.time() < end: open(__file__).read(10)",
    "of a socket": """
        while time.time() < end:
            try: other.recv(1)
            except BlockingIOError: pass
    """,
    "with await sleep(0)": """
        async def polls():
            loop = asyncio.get_running_loop()
            until = loop.time() + 5
            while loop.time() < until: await asyncio.sleep(0)
        asyncio.run(polls())
    """,
    "with await sleep(0), in a timeout": """
        async def spins():
            while True: await asyncio.sleep(0)
        async def polls():
            try: await asyncio.wait_for(spins(), 5)
            except asyncio.TimeoutError: pass
        asyncio.run(polls())
    """,
    "with await sleep(0), in asyncio.timeout": """
        async def polls():
            try:
                async with asyncio.timeout(5):
                    while True: await asyncio.sleep(0)
            except TimeoutError: pass
        if hasattr(asyncio, "timeout"): asyncio.run(polls())
        else: spin(end)  # Python 3.10
    """,
    "in a task": """
        async def polls():
            loop = asyncio.get_running_loop()
            until = loop.time() + 5
            while loop.time() < until: pass
        asyncio.run(polls())
    """,
    "in a task, with time.sleep(0)": """
        async def polls():
            while time.time() < end: time.sleep(0)
        asyncio.run(polls())
    """,
    "after a loop of asyncio": "asyncio.run(asyncio.sleep(0)); spin(end)",
    "of timeit": "timeit.timeit('time.time()', 'import time', number=5_998)",
}


@pytest.mark.parametrize("code", POLLS.values(), ids=POLLS)
def test_a_loop_that_polls_the_clock_ends(deploy, code):
    source = """
import asyncio, select, selectors, socket, time, timeit

def now():
    return time.time()

def spin(end):
    while now() < end: pass

def main_handler(event, context):
    one, other = socket.socketpair()
    other.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(other, selectors.EVENT_READ)
    began = time.time()
    end = began + 5
"""
    lines = textwrap.indent(f"{textwrap.dedent(code)}\nreturn time.time() - began\n", "    ")

    assert 5 <= deploy(source + lines).run() <= 5.02


def test_a_read_after_others_at_another_place_is_counted_from_its_own_first(deploy):
    result = deploy(
        """
        import time

        def main_handler(event, context):
            began = time.time_ns()
            first = [time.time_ns() for _ in range(900)]
            second = [time.time_ns() for _ in range(1_500)]
            return [(stamp - began) // 1_000 for stamp in (first[-1], second[749], second[-1])]
        """
    ).run()

    assert result[:2] == [0, 0]
    assert result[2] >= 400_000


def test_a_thread_goes_on_to_poll_beside_one_that_reads_between_its_waits(deploy):
    result = deploy(
        """
        import threading, time

        def works():
            for _ in range(2_000):
                [time.time() for _ in range(300)]
                time.sleep(0.002)

        def main_handler(event, context):
            threading.Thread(target=works, daemon=True).start()
            reads, end = 0, time.time() + 1
            while time.time() < end:
                reads += 1
            return reads
        """
    ).run()

    assert result <= 2_100  # a thousand of no length, and one in each ms
