"""Runs a measuring station for a day: reads three sensors every hour over HTTP, packs the readings, turns the dish."""

import asyncio
import os
import queue
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

SENSORS = ("north", "south", "east")
MINUTE = 60
HOUR = 60 * MINUTE

stop = threading.Event()
inbox: queue.SimpleQueue[str | None] = (
    queue.SimpleQueue()
)  # its put() may be called while get() waits: by a signal's handler, too


def say(text: str):
    print(f"{datetime.now():%H:%M} {text}")


def on_term(signum: int, frame: object):
    say("SIGTERM")
    stop.set()
    inbox.put(None)


def on_alarm(signum: int, frame: object):
    say("no reading for two hours")


def read(sensor: str, hour: int, after: int):
    """A worker: read one sensor, after some seconds."""
    if stop.wait(after):
        return
    try:
        with urllib.request.urlopen(f"{os.environ['SENSORS']}/{sensor}/{hour}", timeout=10) as answer:
            inbox.put(f"{sensor} {answer.read().decode()}")
    except urllib.error.HTTPError as error:
        say(f"{sensor}: {error.code}")


def collect(until: float):
    """The readings that come until then."""
    readings: list[str] = []
    while not stop.is_set() and (rest := until - time.monotonic()) > 0:
        try:
            reading = inbox.get(timeout=rest)
        except queue.Empty:
            break
        if reading is not None:
            signal.alarm(2 * HOUR)  # anew with each reading
            readings.append(reading)
    return readings


def pack(readings: list[str]):
    """How many bytes gzip makes of them."""
    text = "\n".join(readings).encode()
    return len(subprocess.run(["gzip", "-n"], input=text, stdout=subprocess.PIPE, timeout=60, check=True).stdout)


async def turn(hour: int):
    """Turn the dish; it takes longer each hour, and is given five minutes."""
    at_rest = asyncio.Event()
    asyncio.get_running_loop().call_later(14 * hour, at_rest.set)
    try:
        await asyncio.wait_for(at_rest.wait(), 5 * MINUTE)
    except (asyncio.TimeoutError, TimeoutError):
        say("the dish still turns")


def main_handler(event: dict[str, int], context: dict[str, str]):
    stop.clear()
    signal.signal(signal.SIGTERM, on_term)
    signal.signal(signal.SIGALRM, on_alarm)
    began = time.monotonic()
    packed: list[int] = []
    with ThreadPoolExecutor(max_workers=len(SENSORS)) as pool:
        for hour in range(24):
            half = threading.Timer(HOUR / 2, say, [f"half of hour {hour} is over"])
            half.start()
            for number, sensor in enumerate(SENSORS):
                pool.submit(read, sensor, hour, number * 5 * MINUTE)
            readings = collect(began + hour * HOUR + 50 * MINUTE)
            half.cancel()
            if readings:
                packed.append(pack(readings))
                say(f"hour {hour}: {', '.join(readings)}")
            if not stop.is_set():
                asyncio.run(turn(hour))
            if stop.wait(max(0, began + (hour + 1) * HOUR - time.monotonic()) if hour < 23 else 0):
                break
    signal.alarm(0)
    return {"hours": len(packed), "stopped": stop.is_set()}
