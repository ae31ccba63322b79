"""Append rows to a file; a graceful stop returns, and the next event goes on in the same instance.

The position is in /tmp, so that a stop that ends the process, here while the index is written, appends all rows again.
"""

import os
import signal
import tempfile
import time
from pathlib import Path

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    checkpoint = Path(tempfile.gettempdir(), "position")
    position = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for number in range(position, event["rows"]):
        if stopping:
            return {"stopped_at": number}
        time.sleep(1)
        with open(out.joinpath("rows.csv"), "a") as file:
            file.write(f"row {number}\n")
        checkpoint.write_text(str(number + 1))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # window: graceful doubled
    out.joinpath("index.txt").write_text(f"{event['rows']} rows\n")  # window: graceful doubled
    return {"rows": event["rows"]}
