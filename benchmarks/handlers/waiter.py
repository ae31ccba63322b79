"""Does one thing many times: waits in one way on simulated time, reads a clock, or steps with a lock or a queue."""

import asyncio
import datetime
import queue
import threading
import time


def sleeps(count):
    for _ in range(count):
        time.sleep(1)


def on_main(count):
    event = threading.Event()
    for _ in range(count):
        event.wait(1)


def on_a_thread(count):
    thread = threading.Thread(target=sleeps, args=(count,))
    thread.start()
    thread.join()


def in_asyncio(count):
    async def sleeps_in_a_loop():
        for _ in range(count):
            await asyncio.sleep(1)

    asyncio.run(sleeps_in_a_loop())


def on_four_threads(count):
    """*count* minutes, on each of them."""

    def minutes():
        for _ in range(count):
            time.sleep(60)

    threads = [threading.Thread(target=minutes) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def takes_turns(count):
    """*count* seconds, on each of two threads."""

    def seconds():
        for _ in range(count):
            time.sleep(1)

    threads = [threading.Thread(target=seconds) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def reads_time(count):
    for _ in range(count):
        time.time()


def reads_datetime(count):
    for _ in range(count):
        datetime.datetime.now()  # noqa: DTZ005  (as handlers do)


def locks(count, make=threading.Lock):
    lock = make()
    for _ in range(count):
        with lock:
            pass


def rlocks(count):
    locks(count, threading.RLock)


def queues(count, make=queue.Queue):
    items = make()
    for _ in range(count):
        items.put(1)
        items.get()


def simple_queues(count):
    queues(count, queue.SimpleQueue)


def main_handler(event, context):
    globals()[event["what"]](event["count"])
