"""Append rows to a file; a graceful stop returns, and the next event goes on where it stopped.

The position is beside the rows, where each instance finds it.
"""

import os
import signal
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
    checkpoint = out.joinpath("position")
    position = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for number in range(position, event["rows"]):
        if stopping:
            return {"stopped_at": number}
        time.sleep(1)
        with open(out.joinpath("rows.csv"), "a") as file:
            file.write(f"row {number}\n")
        checkpoint.write_text(str(number + 1))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    out.joinpath("index.txt").write_text(f"{event['rows']} rows\n")
    return {"rows": event["rows"]}
