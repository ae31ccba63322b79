"""Export rows, one file each, with the position of the next row in a checkpoint.

The checkpoint moves on when the row's file is there.
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
        time.sleep(1)
        out.joinpath(f"{number}.txt").write_text(f"row {number}\n")
        save(checkpoint, str(number + 1))
        print(f"row {number} is exported")
    return {"rows": event["rows"]}
