"""Append rows to a file; a graceful stop returns, and the next event goes on in the same instance.

The position is a global of the module, and a stop in an upload raises: the new instance appends all rows again.
"""

import os
import signal
import time
from pathlib import Path

position = 0
stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def upload(out, number):
    time.sleep(1)  # window: graceful doubled
    if stopping:
        raise RuntimeError(f"row {number}: stopped while it was uploaded")
    with open(out.joinpath("rows.csv"), "a") as file:
        file.write(f"row {number}\n")


def main_handler(event, context):
    global position, stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    while position < event["rows"]:
        if stopping:
            return {"stopped_at": position}
        upload(out, position)
        position += 1
    return {"rows": event["rows"]}
