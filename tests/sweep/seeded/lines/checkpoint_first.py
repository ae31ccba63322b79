"""Export rows, one file each, with the position of the next row in a checkpoint.

The checkpoint says that a row is exported before it is, so that a stop in between loses the row.
"""

import os
import signal
import time
from pathlib import Path

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def save(path, text):
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


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
        save(checkpoint, str(number + 1))
        time.sleep(1)  # window: forced lost
        out.joinpath(f"{number}.txt").write_text(f"row {number}\n")  # window: forced lost
        print(f"row {number} is exported")
    return {"rows": event["rows"]}
