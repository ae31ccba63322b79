"""Export rows in batches of two, and write the rest of a batch when SIGTERM comes.

The way out saves the position before it writes the rows, so that a second termination in between loses them.
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


def flush(out, batch):
    for number in batch:  # window: second lost
        out.joinpath(f"{number}.txt").write_text(f"row {number}\n")  # window: second lost


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    checkpoint = out.joinpath("position")
    position = int(checkpoint.read_text()) if checkpoint.exists() else 0
    batch = []
    for number in range(position, event["rows"]):
        if stopping:
            save(checkpoint, str(number))
            flush(out, batch)  # window: second lost
            return {"stopped_at": number}
        time.sleep(1)
        batch.append(number)
        if len(batch) == 2:
            flush(out, batch)
            save(checkpoint, str(number + 1))
            batch = []
    flush(out, batch)
    save(checkpoint, str(event["rows"]))
    return {"rows": event["rows"]}
