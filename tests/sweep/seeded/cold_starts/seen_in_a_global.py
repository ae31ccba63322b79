"""Append the names of the orders in an inbox to a file; a graceful stop returns.

Which orders were seen is in a global of the module, which the next cold start does not have.
"""

import os
import signal
import time
from pathlib import Path

seen = set()
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
    for number in range(event["orders"]):  # window: cold doubled
        if stopping:
            return {"stopped_at": number}
        if number in seen:
            continue
        time.sleep(1)  # window: cold doubled
        with open(names, "a") as file:  # window: cold doubled
            file.write(f"order {number}\n")  # window: cold doubled
        seen.add(number)  # window: cold doubled
    return {"orders": event["orders"]}
