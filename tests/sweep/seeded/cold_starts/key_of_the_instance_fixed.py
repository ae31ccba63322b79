"""Append rows to a file; a graceful stop returns, and the next event goes on.

The position counts for whoever reads it.
"""

import os
import signal
import time
import uuid
from pathlib import Path

KEY = str(uuid.uuid4())
stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def replace(path, text):
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    position = Path(os.environ["OUT"], "position")
    _, first = position.read_text().split() if position.exists() else (KEY, "0")
    for number in range(int(first), event["rows"]):
        if stopping:
            replace(position, f"{KEY} {number}")
            return {"stopped_at": number}
        time.sleep(1)
        with open(position.with_name("rows"), "a") as rows:
            rows.write(f"row {number}\n")
    position.unlink(missing_ok=True)
    return {"rows": event["rows"]}
