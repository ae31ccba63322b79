"""Write rows to numbered files; a graceful stop saves the position and returns.

The numbers come from a counter of the module, which begins anew with the next cold start.
"""

import itertools
import os
import signal
import time
from pathlib import Path

numbers = itertools.count()
stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def replace(path, text):
    path.with_suffix(".new").write_text(text)  # window: cold lost
    os.replace(path.with_suffix(".new"), path)  # window: cold lost


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    first = int((out / "position").read_text()) if (out / "position").exists() else 0
    for number in range(first, event["rows"]):  # window: cold lost
        if stopping:
            replace(out / "position", str(number))
            return {"stopped_at": number}
        time.sleep(1)  # window: cold lost
        replace(out / f"file-{next(numbers)}", "a row")  # window: cold lost
    (out / "position").unlink(missing_ok=True)
    return {"rows": event["rows"]}
