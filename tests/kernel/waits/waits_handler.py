"""The handler that runs one wait of waits_table.py, whose code is written below this, and helpers of that code."""

import concurrent.futures
import os
import queue
import select
import selectors
import signal
import socket
import threading
import time


class Stop(Exception):
    pass


class Rang(Exception):
    pass


WAITS = {}
"""By the row's name."""
tidying = []
"""What is called once the wait is over, the last first."""
peer = {}
"""Where the test is: a FIFO, a port, a file that it has locked."""
rang = []
"""The signals of alarms that have come."""
alarms = {"raise": False}


def on_alarm(signum, frame):
    rang.append(signum)
    if alarms["raise"]:
        raise Rang


def later(act, *args, seconds=60):
    """Have another thread call something in some seconds."""
    thread = threading.Thread(target=lambda: (time.sleep(seconds), act(*args)))
    thread.start()
    tidying.append(thread.join)
    return thread


def holding(lock, seconds=60):
    """Have another thread hold a lock for some seconds."""
    has_it = threading.Event()

    def hold():
        with lock:
            has_it.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    tidying.append(thread.join)
    has_it.wait()
    return lock


def workers(count=1):
    """A pool of threads."""
    made = concurrent.futures.ThreadPoolExecutor(count)
    tidying.append(made.shutdown)
    return made


def notified(condition):
    def notify():
        with condition:
            condition.notify_all()

    later(notify)
    return condition


def full(kind=queue.Queue):
    items = kind(1)
    items.put("first")
    return items


def pipe():
    """Both ends of a pipe."""
    ends = os.pipe()
    tidying.append(lambda: [os.close(end) for end in ends])
    return ends


def written():
    """The end to read of a pipe, to which another thread writes."""
    read, write = pipe()
    later(os.write, write, b"x")
    return read


def selecting(selector, read):
    """A selector in which one descriptor is registered."""
    selector.register(read, selectors.EVENT_READ)
    tidying.append(selector.close)
    return selector


def polling(poller, read):
    poller.register(read, select.POLLIN)
    return poller


async def times_out(awaitable):
    import asyncio

    try:
        await awaitable
    except (asyncio.TimeoutError, TimeoutError):
        return
    raise AssertionError("no timeout")


def in_a_minute(call, *args):
    """Have the loop of a coroutine call something."""
    import asyncio

    asyncio.get_running_loop().call_later(60, call, *args)


async def notify(condition):
    async with condition:
        condition.notify()


def go(fifo, say):
    with open(fifo) as file:
        say(file.readline())


def process(say=len):
    """A process of multiprocessing that waits for the test."""
    import multiprocessing

    started = multiprocessing.get_context("fork").Process(target=go, args=(peer["fifo"], say))
    started.start()
    tidying.append(lambda: (started.kill(), started.join()))
    return started


def expect(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def connected():
    """A connection to the server of the test."""
    connection = socket.create_connection(("127.0.0.1", peer["port"]))
    connection.sendall(b"hello")
    return connection


def child(**options):
    """A child process that waits for the test."""
    import subprocess

    started = subprocess.Popen(["head", "-n1", peer["fifo"]], **{"stdout": subprocess.DEVNULL, **options})
    tidying.append(lambda: (started.kill(), started.wait()))
    return started


def main_handler(event, context):
    global peer
    peer, column = event["peer"], event["column"]
    outcome, received = {}, []

    def passed():
        return (time.time_ns() - began) // 1000

    def on_term(signum, frame):
        received.append(passed())
        if column == "handler raises":
            raise Stop("SIGTERM")

    def run(end):
        try:
            WAITS[event["row"]]()
            outcome[end] = passed()
        except Stop:
            outcome["stopped"] = passed()
        assert (time.monotonic_ns() - began_monotonic) // 1000 == passed()

    signal.signal(signal.SIGALRM, on_alarm)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    signal.signal(signal.SIGTERM, on_term if column.startswith("handler") else signal.SIG_DFL)
    if column == "beside a sleep":
        later(int, seconds=3600)
    for end in event["ends"]:
        rang.clear()
        alarms["raise"] = False
        began, began_monotonic = time.time_ns(), time.monotonic_ns()
        if column == "another thread":
            thread = threading.Thread(target=run, args=(end,))
            thread.start()
            thread.join()
        else:
            run(end)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(0)
        while tidying:
            tidying.pop()()
        while signal.sigtimedwait([signal.SIGUSR1], 0):
            pass
    return {**outcome, "handled": received}
