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
    position = int((out / "position").read_text()) if (out / "position").exists() else 0
    for number in range(position, event["rows"]):
        if stopping:
            return {"stopped_at": number}
        time.sleep(4)
        (out / f"{number}.txt").write_text(f"row {number}\n")
        (out / "position.tmp").write_text(str(number + 1))
        os.replace(out / "position.tmp", out / "position")
    return {"rows": event["rows"]}
