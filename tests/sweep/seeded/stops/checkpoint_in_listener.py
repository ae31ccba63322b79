"""Export rows; the listener for SIGTERM writes the position and ends the process.

It writes in place, so that a second termination leaves an empty file, which no later event can read.
"""

import os
import signal
import sys
import time
from pathlib import Path

position = 0


def stop(number, frame):
    file = open(Path(os.environ["OUT"], "position"), "w")  # noqa: SIM115
    file.write(str(position))  # window: second never finishes
    file.close()  # window: second never finishes
    sys.exit(0)


def main_handler(event, context):
    global position
    out = Path(os.environ["OUT"])
    position = int(out.joinpath("position").read_text()) if out.joinpath("position").exists() else 0
    signal.signal(signal.SIGTERM, stop)
    while position < event["rows"]:
        time.sleep(1)
        out.joinpath(f"{position}.txt").write_text(f"row {position}\n")
        position += 1
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    out.joinpath("position").unlink(missing_ok=True)
    return {"rows": event["rows"]}
