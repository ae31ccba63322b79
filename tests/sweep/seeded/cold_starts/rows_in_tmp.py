"""Collect rows and write them in the end; a graceful stop saves the position and returns.

The rows are in a file in /tmp, which the next cold start does not have.
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


def replace(path, text):
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    position = Path(os.environ["OUT"], "position")
    kept = Path(tempfile.gettempdir(), "kept")
    first = int(position.read_text()) if position.exists() else 0
    rows = kept.read_text() if first and kept.exists() else ""
    for number in range(first, event["rows"]):  # window: cold lost
        if stopping:
            replace(kept, rows)
            replace(position, str(number))
            return {"stopped_at": number}
        time.sleep(1)  # window: cold lost
        rows += f"row {number}\n"
    replace(position.with_name("rows"), rows)
    position.unlink(missing_ok=True)
    kept.unlink(missing_ok=True)
    return {"rows": event["rows"]}
