"""A thread gets a signal while the main thread waits; when is its handler called? As a handler and as a program.

With ``takes`` that handler takes so many units, and the ends of the waits are told, too.
"""

import asyncio
import json
import queue
import select
import signal
import sys
import threading
import time


def main_handler(event, context):
    unit, called, signum = event["unit"], [], signal.Signals[event.get("signum", "SIGUSR2")]
    begun = time.monotonic()

    def on_signal(*_):
        note()
        if "takes" in event:
            time.sleep(event["takes"] * unit)

    def note():
        called.append(round((time.monotonic() - begun) / unit, 3))

    signal.signal(signum, on_signal)
    other = threading.Thread(target=time.sleep, args=(12 * unit,), daemon=True)
    other.start()

    def send():
        if event["send"] == "raise_signal":
            signal.raise_signal(signum)
        else:
            to = {"pthread_kill": threading.current_thread(), "pthread_kill to main": threading.main_thread()}
            thread = to.get(event["send"], other)
            signal.pthread_kill(thread.ident, signum)

    def worker():
        for units in event["sent_after"]:
            time.sleep(units * unit)
            send()

    async def loop():
        if event["wait"] == "loop with a handler":
            asyncio.get_running_loop().add_signal_handler(signum, on_signal)
        for units in event["waits"]:
            await asyncio.sleep(units * unit)
            note_end()

    def note_end():
        if "takes" in event:
            note()

    waits = {
        "sleep": time.sleep,
        "event": threading.Event().wait,
        "lock": lambda seconds: taken.acquire(timeout=seconds),
        "queue": lambda seconds: let_fail(queue.Empty, queue.Queue().get, timeout=seconds),
        "join": other.join,
        "select": lambda seconds: select.select([], [], [], seconds),
    }
    taken = threading.Lock()
    taken.acquire()
    thread = threading.Thread(target=worker)
    thread.start()
    if event["wait"].startswith("loop"):
        asyncio.run(loop())
    else:
        for units in event["waits"]:
            waits[event["wait"]](units * unit)
            note_end()
    thread.join()
    return called


def let_fail(expected, call, **arguments):
    try:
        call(**arguments)
    except expected:
        pass


if __name__ == "__main__":
    print(json.dumps(main_handler(json.loads(sys.argv[1]), None)))
