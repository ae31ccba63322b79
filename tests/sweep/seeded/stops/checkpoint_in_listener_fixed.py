"""Export rows; the listener for SIGTERM writes the position and ends the process.

It writes another file and renames it, so that the position is the old one or the new one.
"""

import os
import signal
import sys
import time
from pathlib import Path

position = 0


def stop(number, frame):
    out = Path(os.environ["OUT"])
    out.joinpath("position.tmp").write_text(str(position))
    os.replace(out.joinpath("position.tmp"), out.joinpath("position"))
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
    out.joinpath("position.tmp").unlink(missing_ok=True)
    return {"rows": event["rows"]}
