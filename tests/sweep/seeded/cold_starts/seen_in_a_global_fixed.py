"""Append the names of the orders in an inbox to a file; a graceful stop returns.

Which orders were seen is read off the file.
"""

import os
import signal
import time
from pathlib import Path

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def replace(path, text):
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    names = Path(os.environ["OUT"], "names")
    for number in range(event["orders"]):
        if stopping:
            return {"stopped_at": number}
        if names.exists() and f"order {number}\n" in names.read_text():
            continue
        time.sleep(1)
        with open(names, "a") as file:
            file.write(f"order {number}\n")
    return {"orders": event["orders"]}
