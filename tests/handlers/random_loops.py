"""Threads and loops of asyncio that wake each other at random, from a seed; each line has what was done, and when."""

import asyncio
import os
import queue
import random
import select
import threading
import time

BEGAN = time.time()
PIPES = 3
THREADS = 4
STEPS = 20

pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(PIPES)]
jobs = queue.Queue()
lock = threading.Lock()
loops = {}


def stamp(*what):
    print(round(time.time() - BEGAN, 6), *what)


def write(pipe):
    try:
        os.write(pipes[pipe][1], b"x")
    except BlockingIOError:
        stamp("full", pipe)


def read(name, pipe):
    try:
        stamp(name, "reads", pipe, os.read(pipes[pipe][0], 1))
    except BlockingIOError:
        stamp(name, "is too late for", pipe)


def wait(name, pipe, seconds, call):
    fd = pipes[pipe][0]
    if call == "select":
        ready = select.select([fd], [], [], seconds)[0]
    elif call == "poll":
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        ready = poll.poll(seconds * 1000)
    else:
        with select.epoll() as epoll:
            epoll.register(fd, select.EPOLLIN)
            ready = epoll.poll(seconds)
    if ready:
        read(name, pipe)
    else:
        stamp(name, "waited in vain for", pipe)


def call_loops(name):
    for loop, put in list(loops.values()):
        loop.call_soon_threadsafe(put, name)


def get(name, seconds):
    try:
        stamp(name, "gets", jobs.get(timeout=seconds))
    except queue.Empty:
        stamp(name, "gets nothing")


def step_of_a_thread(name, kind, pipe, seconds):
    if kind == "sleep":
        time.sleep(seconds)
    elif kind == "write":
        write(pipe)
    elif kind == "lock":
        with lock:
            time.sleep(seconds / 4)
    elif kind == "put":
        jobs.put(name)
    elif kind == "get":
        get(name, seconds)
    elif kind == "call":
        call_loops(name)
    else:
        wait(name, pipe, seconds, kind)


async def step_of_a_loop(name, kind, pipe, seconds):
    if kind in ("sleep", "lock"):
        await asyncio.sleep(seconds)
    elif kind == "get":
        await asyncio.to_thread(time.sleep, seconds)
    elif kind in ("select", "poll", "epoll"):
        ready = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipes[pipe][0], ready.set)
        try:
            await asyncio.wait_for(ready.wait(), seconds)
            read(name, pipe)
        except (asyncio.TimeoutError, TimeoutError):
            stamp(name, "waited in vain for", pipe)
        asyncio.get_running_loop().remove_reader(pipes[pipe][0])
    else:
        step_of_a_thread(name, kind, pipe, seconds)


async def loop(name, plan):
    received = asyncio.Queue()

    async def receives():
        while True:
            stamp(name, "receives", await received.get())

    loops[name] = asyncio.get_running_loop(), received.put_nowait
    beside = asyncio.ensure_future(receives())
    for step in plan:
        await step_of_a_loop(name, *step)
        stamp(name, *step)
    del loops[name]
    beside.cancel()


def thread(name, plan):
    for step in plan:
        step_of_a_thread(name, *step)
        stamp(name, *step)


def main_handler(seed, context):
    rng = random.Random(seed)
    kinds = ("sleep", "write", "write", "lock", "put", "get", "call", "select", "poll", "epoll")
    plans = [
        [(rng.choice(kinds), rng.randrange(PIPES), rng.choice((0.5, 1, 1.5, 2, 3))) for _ in range(STEPS)]
        for _ in range(THREADS)
    ]
    threads = [
        threading.Thread(target=thread, args=("A", plans[1])),
        threading.Thread(target=lambda: asyncio.run(loop("B", plans[2]))),
        threading.Thread(target=thread, args=("C", plans[3])),
    ]
    for each in threads:
        each.start()
    asyncio.run(loop("main", plans[0]))
    for each in threads:
        each.join()
