"""Write rows to numbered files; a graceful stop saves the position and returns.

The number of a file is the position.
"""

import os
import signal
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
    out = Path(os.environ["OUT"])
    first = int((out / "position").read_text()) if (out / "position").exists() else 0
    for number in range(first, event["rows"]):
        if stopping:
            replace(out / "position", str(number))
            return {"stopped_at": number}
        time.sleep(1)
        replace(out / f"file-{number}", "a row")
    (out / "position").unlink(missing_ok=True)
    return {"rows": event["rows"]}
