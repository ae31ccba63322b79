"""Export rows of four seconds each; SIGTERM must not come between a row and its checkpoint.

The listener always sets its flag, which is read between two rows only.
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
    position = int(out.joinpath("position").read_text()) if out.joinpath("position").exists() else 0
    for number in range(position, event["rows"]):
        if stopping:
            return {"stopped_at": number}
        time.sleep(4)
        out.joinpath(f"{number}.txt").write_text(f"row {number}\n")
        out.joinpath("position.tmp").write_text(str(number + 1))
        os.replace(out.joinpath("position.tmp"), out.joinpath("position"))
    return {"rows": event["rows"]}
