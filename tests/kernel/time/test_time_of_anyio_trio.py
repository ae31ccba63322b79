"""``anyio`` and ``trio`` on simulated time: both wait in what ``asyncio`` waits in."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import user_lines

from pytest_scf_async.runtime import ScfRuntime

IMPORTS = """
import anyio, anyio.from_thread, anyio.to_thread, os, signal, sys, threading, time

BEGAN = time.time()

class Stop(Exception):
    pass

def passed():
    seconds = round(time.time() - BEGAN, 4)  # trio adds a random offset to its clock, and ends a microsecond late
    return int(seconds) if seconds == int(seconds) else seconds

def stamp(what):
    print(passed(), what)

def main_handler(event, context):
    return anyio.run(main, backend=event)
"""

each_backend = pytest.mark.parametrize("backend", ["asyncio", "trio"])

WAITS = {
    "anyio.sleep(60)": ("await anyio.sleep(60)", 60),
    "anyio.move_on_after(60)": ("with anyio.move_on_after(60): await anyio.sleep(100)", 60),
    "anyio.fail_after(60)": ("await too_late(60)", 60),
    "a task group": ("await together(20, 60, 40)", 60),
    "to_thread.run_sync(time.sleep, 60)": ("await anyio.to_thread.run_sync(time.sleep, 60)", 60),
    "from_thread.run(anyio.sleep, 60)": (
        "await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(anyio.sleep, 60))",
        60,
    ),
    "an event that a thread sets": ("await set_by_a_thread(60)", 60),
    "a memory object stream": ("await sent_after(60)", 60),
    "a connection to itself": ("await talk()", 60),
}
HELPERS = """
async def too_late(seconds):
    try:
        with anyio.fail_after(seconds):
            await anyio.sleep_forever()
    except TimeoutError:
        return
    raise AssertionError("no timeout")

async def together(*sleeps):
    async with anyio.create_task_group() as group:
        for seconds in sleeps:
            group.start_soon(anyio.sleep, seconds)

async def set_by_a_thread(seconds):
    def work():
        time.sleep(seconds)
        anyio.from_thread.run_sync(event.set)

    event = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, work)
        await event.wait()

async def sent_after(seconds):
    async def sends():
        await anyio.sleep(seconds)
        await send.send(1)

    send, receive = anyio.create_memory_object_stream(0)
    async with anyio.create_task_group() as group, send, receive:
        group.start_soon(sends)
        await receive.receive()

async def talk():
    async def serve(stream):
        async with stream:
            word = await stream.receive()
            await anyio.sleep(60)
            await stream.send(word.upper())

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"word")
            assert await stream.receive() == b"WORD"
        group.cancel_scope.cancel()
"""


@each_backend
def test_each_wait_takes_its_time(deploy, backend: str) -> None:
    """One after the other on one instance, as the import of the libraries is what costs."""
    cases = "".join(
        f"\nasync def wait{number}():\n    began = passed()\n    {code}\n    return round(passed() - began, 4)\n"
        for number, (code, _) in enumerate(WAITS.values())
    )
    function = deploy(
        f"{IMPORTS}{HELPERS}{cases}\n"
        "def main_handler(event, context):\n"
        "    return anyio.run(globals()[event['wait']], backend=event['backend'])\n"
    )
    for number, (name, (_, seconds)) in enumerate(WAITS.items()):
        event = function.invoke_async({"wait": f"wait{number}", "backend": backend}).wait()

        assert event.status == "FINISHED", str(event.log)
        assert event.result == seconds, name
        assert event.duration - timedelta(seconds=seconds) <= timedelta(microseconds=3), name


@each_backend
def test_the_loop_may_run_on_a_second_thread(deploy, backend: str) -> None:
    event = deploy(
        IMPORTS
        + """
async def main():
    await anyio.sleep(60)
    stamp("slept")

def main_handler(event, context):
    thread = threading.Thread(target=anyio.run, args=(main,), kwargs={"backend": event})
    thread.start()
    time.sleep(10)
    stamp("main")
    thread.join()
"""
    ).invoke_async(backend)

    assert user_lines(event.wait()) == ["10 main", "60 slept"]


SIGNALLED = """
async def listens():
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for signum in signals:
            stamp(signal.Signals(signum).name)
            return

async def main():
    try:
        {code}
    except Stop:
        stamp("stopped")
    stamp("done")
"""
LISTENS = """async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 60)
            await listens()
            group.cancel_scope.cancel()"""


@each_backend
@pytest.mark.repeat
def test_a_signal_receiver_gets_sigterm_at_its_instant(deploy, runtime: ScfRuntime, backend: str) -> None:
    event = deploy(IMPORTS + SIGNALLED.format(code=LISTENS)).invoke_async(backend)
    event.settle()
    runtime.clock.advance(20)
    event.terminate(grace_shutdown=True)

    assert user_lines(event.wait()) == ["20 SIGTERM", "20 done"]
    assert event.status == "FINISHED"


ACTS = {"pass": ["20 SIGTERM", "60 done"], "time.sleep(15)": ["20 SIGTERM", "60 done"], "raise Stop": ["20 SIGTERM"]}
"""What a handler does, and the lines of its event."""


@each_backend
def test_a_handler_of_signal_signal_interrupts_the_loop(deploy, runtime: ScfRuntime, backend: str) -> None:
    function = deploy(
        IMPORTS
        + SIGNALLED.format(code="await anyio.sleep(60)")
        + """
def on_term(signum, frame):
    stamp("SIGTERM")
    exec(act)

def main_handler(event, context):
    global act, BEGAN
    act, BEGAN = event["act"], time.time()
    signal.signal(signal.SIGTERM, on_term)
    try:
        anyio.run(main, backend=event["backend"])
    except BaseException as error:
        return type(error).__name__
"""
    )
    for act, lines in ACTS.items():
        event = function.invoke_async({"act": act, "backend": backend})
        event.settle()
        runtime.clock.advance(20)
        event.terminate(grace_shutdown=True)
        event.wait()

        assert user_lines(event)[: len(lines)] == lines, act
        assert event.duration < timedelta(seconds=21 if act == "raise Stop" else 61), act
        assert event.result == ("Stop" if act == "raise Stop" else None)


@each_backend
def test_without_a_handler_sigterm_ends_the_process(deploy, runtime: ScfRuntime, backend: str) -> None:
    event = deploy(IMPORTS + "\nasync def main():\n    await anyio.sleep(60)\n").invoke_async(backend)
    event.settle()
    runtime.clock.advance(20)
    event.terminate(grace_shutdown=True)

    assert (event.status_code, event.duration) == (439, timedelta(seconds=20))


@each_backend
@pytest.mark.repeat
def test_a_child_works_in_real_time_and_takes_no_simulated_time(deploy, backend: str) -> None:
    assert deploy(
        IMPORTS
        + """
async def main():
    with anyio.fail_after(60):
        done = await anyio.run_process(["sh", "-c", "sleep 0.2; cat"], input=b"word")
    return [done.stdout.decode(), done.returncode, passed()]
"""
    ).run(backend) == ["word", 0, 0]


def test_the_clock_of_trio_is_the_simulated_one(deploy) -> None:
    assert deploy(
        IMPORTS
        + """
import trio

async def main():
    before = trio.current_time()
    await trio.sleep_until(before + 3600)
    return [round(trio.current_time() - before, 4), passed()]

def main_handler(event, context):
    return trio.run(main)
"""
    ).run() == [3600, 3600]


@each_backend
def test_two_runs_are_the_same(deploy, make_runtime, backend: str) -> None:
    def run() -> list:
        event = deploy(
            IMPORTS
            + """
async def work(name, seconds):
    for _ in range(20):
        await anyio.sleep(seconds)
        await anyio.to_thread.run_sync(time.sleep, seconds / 3)
        stamp(name)

async def main():
    async with anyio.create_task_group() as group:
        for name, seconds in (("a", 1), ("b", 1.7), ("c", 0.3)):
            group.start_soon(work, name, seconds)
""",
            to=make_runtime(),
            name="same",
        ).invoke_async(backend)
        return user_lines(event.wait())

    first = run()

    assert len(first) == 60
    assert run() == first
