"""Leases change nothing but speed: with them and without, every trace of an event is the same."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from image_support import program
from internals import event_of
from process_support import START

from pytest_scf_async.async_event import AsyncEvent

pytestmark = pytest.mark.leases

SLEEPS = """
    import time

    def main_handler(event, context):
        for _ in range(50):
            time.sleep(1)
        time.sleep(0.5)
        for pause in (1, 2, 3):
            time.sleep(pause)
            time.sleep(pause)
"""
LINES = """
    import os, sys, time

    def main_handler(event, context):
        for row in range(20):
            time.sleep(1)
            time.sleep(1)
            print("row", row)
            if row % 3 == 0:
                sys.stderr.write("half a line, ")
                time.sleep(0.25)
            if row % 5 == 0:
                os.write(1, b"past the streams\\n")
            if row % 7 == 0:
                sys.stdout.buffer.write(b"bytes\\n")
        time.sleep(7)
"""
COPIES = """
    import os, time

    def main_handler(event, context):
        time.sleep(3)
        time.sleep(3)
        copy = os.dup(1)
        for row in range(5):
            time.sleep(1)
            os.write(copy, b"row %d\\n" % row)
"""
THREADS = """
    import queue, threading, time

    def main_handler(event, context):
        done, lock, jobs = threading.Event(), threading.Lock(), queue.Queue()

        def worker(number):
            while (job := jobs.get()) is not None:
                time.sleep(number + 1)
                with lock:
                    time.sleep(0.5)
                    print(f"{time.time():.1f} worker {number} did {job}")

        threads = [threading.Thread(target=worker, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        timer = threading.Timer(4, done.set)
        timer.start()
        for job in range(9):
            jobs.put(job)
            time.sleep(0.7)
        print("timer", done.wait(100), time.time())
        for _ in threads:
            jobs.put(None)
        for thread in threads:
            thread.join()
        print("timeout", done.clear() or done.wait(2), time.time())
"""
SIGNALS_ITSELF = """
    import os, signal, time

    def received(signum, frame):
        time.sleep(2)
        print("handled", time.time())

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, received)
        signal.signal(signal.SIGUSR1, received)
        for _ in range(5):
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(1)
"""
DAEMON = """
    import threading, time

    def ticks():
        while True:
            time.sleep(1)
            print("tick", time.time())

    def main_handler(event, context):
        threading.Thread(target=ticks, daemon=True).start()
        time.sleep(5.5)
"""
POLLS_THE_CLOCK = """
    import time

    def main_handler(event, context):
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            pass
        time.sleep(1)
        print(time.time())
"""
ALTERNATES = """
    import asyncio, threading, time

    def main_handler(event, context):
        loop = asyncio.new_event_loop()
        for _ in range(3):
            time.sleep(1)
            threading.Event().wait(2)
        for _ in range(3):
            time.sleep(1)
            loop.run_until_complete(asyncio.sleep(4))
"""
LOOP = """
    import asyncio, os, signal, socket, time

    async def reads(socket, loop):
        while data := await loop.sock_recv(socket, 100):
            print(time.time(), data)

    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, lambda: print("handled", time.time()))
        here, there = socket.socketpair()
        here.setblocking(False)
        task = asyncio.create_task(reads(here, loop))
        for step in range(30):
            await asyncio.sleep(0.1)
            if step % 7 == 0:
                there.send(b"step %d" % step)
            if step % 11 == 0:
                os.kill(os.getpid(), signal.SIGUSR1)
            if step % 13 == 0:
                await asyncio.to_thread(time.sleep, 0.25)
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 0.1)
            except asyncio.TimeoutError:
                pass
        there.close()
        await task
        here.close()
        print(time.time())

    def main_handler(event, context):
        asyncio.run(main())
"""
LOOP_IN_AN_IMAGE = """
    import asyncio, json, sys, time

    opened = []
    counting = False

    def look(name, arguments):
        if counting and name in ("open", "socket.__new__"):
            opened.append(name)

    sys.addaudithook(look)

    async def ticks():
        while True:
            await asyncio.sleep(0.1)

    async def serve(reader, writer):
        global counting
        await reader.readuntil(b"\\r\\n\\r\\n")
        for row in range(3):
            await asyncio.sleep(2)
            print("row", row, time.time(), flush=True)
        await asyncio.sleep(1)
        counting = True
        await asyncio.sleep(20)
        counting = False
        answer = json.dumps(sorted(set(opened))).encode()
        head = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(answer)
        writer.write(head + answer[:1])  # the rest comes later: it is waited for
        await asyncio.sleep(3)
        writer.write(answer[1:])
        await asyncio.sleep(3)

    async def main():
        task = asyncio.create_task(ticks())
        async with await asyncio.start_server(serve, "0.0.0.0", 9000) as server:
            await server.serve_forever()

    asyncio.run(main())
"""
SLEEPS_IN_AN_IMAGE = """
    import socket, time

    with socket.create_server(("0.0.0.0", 9000)) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                for _ in range(50):
                    time.sleep(1)
                connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n1")
                time.sleep(1)
                connection.sendall(b"2")
                time.sleep(1)
"""
ENDS = {
    "raises": "raise ValueError('boom')",
    "exits": "raise SystemExit(3)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "leaves at once": "os._exit(0)",
    "returns no JSON": "return object()",
}


def reported(text: str) -> str:
    """A line without what differs between any two runs: memory figures, and the directory that it was written to."""
    return text.partition(" MemUsage")[0].replace("/code2/", "/code1/").replace("/image2/", "/image1/")


def trace_of(event: AsyncEvent) -> dict[str, Any]:
    """All that a test can see of an event, memory figures aside."""
    return {
        "status": (event.status, event.status_code),
        "transitions": event.transitions,
        "log": [(line.time, line.source, reported(line.text)) for line in event.log],
        "signals": event.signals,
        "timeline": [reported(line) for line in event.timeline.splitlines()],
        "error": json.dumps(event.error).replace("/code2/", "/code1/"),
        "result": event.result if event.status == "FINISHED" else None,
        "id": event.request_id,
    }


def both(deploy, make_runtime, source: str, run=AsyncEvent.wait, **options: Any) -> dict[str, Any]:
    """The trace of an event with leases, which is that without them."""
    traces, leased = [], []  # of each run: what was seen, and how many waits ended under a lease, where that is kept
    for leases in (True, False):
        runtime = make_runtime(leases=leases)
        event = deploy(source, to=runtime, name="leased", **options).invoke_async()
        run(event)
        traces.append(trace_of(event))
        instance = event_of(event).instance
        leased.append(None if instance.released else instance.waits[1])
    assert traces[0] == traces[1]
    assert leased == [None, None] or (leased[0] > 0 and leased[1] == 0)
    return traces[0]


@pytest.mark.parametrize(
    "source",
    [SLEEPS, LINES, COPIES, THREADS, SIGNALS_ITSELF, DAEMON, POLLS_THE_CLOCK, ALTERNATES, LOOP],
    ids=[
        "sleeps", "lines", "copies of stdout", "threads", "signals", "a daemon thread", "polls the clock",
        "alternates", "a loop of asyncio",
    ],
)  # fmt: skip
def test_the_trace_of_a_handler_is_the_same(deploy, make_runtime, source: str) -> None:
    trace = both(deploy, make_runtime, source)
    assert trace["status"] == ("FINISHED", 200), trace["log"]


def test_the_trace_of_an_image_with_a_loop_is_the_same_and_its_ticks_open_nothing(
    deploy_in_process, make_runtime
) -> None:
    trace = both(deploy_in_process, make_runtime, LOOP_IN_AN_IMAGE)

    assert trace["transitions"][-1] == ("FINISHED", START + timedelta(seconds=30))
    assert trace["result"] == []


def test_the_trace_of_an_image_that_sleeps_is_the_same(deploy_in_process, make_runtime) -> None:
    trace = both(deploy_in_process, make_runtime, SLEEPS_IN_AN_IMAGE)

    assert trace["transitions"][-1] == ("FINISHED", START + timedelta(seconds=51))


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_trace_is_the_same_however_the_event_ends(deploy, make_runtime, end: str) -> None:
    source = f"""
        import os, signal, time

        def main_handler(event, context):
            print("begins")
            time.sleep(10)
            for _ in range(2):
                time.sleep(20)
            {end}
    """
    trace = both(deploy, make_runtime, source)
    assert trace["transitions"][1] == ("FAILED", START + timedelta(seconds=50))
    assert any("sleep(20)" in line and "2 times" in line for line in trace["timeline"]), "\n".join(trace["timeline"])


def test_an_instance_without_code_in_c_of_the_users_does_not_look_at_its_output_in_each_wait(
    deploy, deploy_traced
) -> None:
    """With such code a leased sleep takes three times as long. What traces programs loads some, which is not theirs."""
    deploy_traced(program("def handle(event, request): pass")).run()
    function = deploy("""
        import ctypes, ssl
        from pytest_scf_async.python.scheduler.scheduler import scheduler

        def main_handler(event, context):
            before = scheduler.c_code
            ctypes.CDLL(None)
            return [before, scheduler.c_code]
    """)

    assert function.run() == [False, True]
