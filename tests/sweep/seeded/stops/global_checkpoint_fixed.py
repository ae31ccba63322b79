"""Append rows to a file; a graceful stop returns, and the next event goes on where it stopped.

The position is the number of rows in the file, which each instance can count.
"""

import os
import signal
import time
from pathlib import Path

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def upload(out, number):
    time.sleep(1)
    if stopping:
        raise RuntimeError(f"row {number}: stopped while it was uploaded")
    with open(out.joinpath("rows.csv"), "a") as file:
        file.write(f"row {number}\n")


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    path = out.joinpath("rows.csv")
    position = len(path.read_text().splitlines()) if path.exists() else 0
    while position < event["rows"]:
        if stopping:
            return {"stopped_at": position}
        upload(out, position)
        position += 1
    return {"rows": event["rows"]}
