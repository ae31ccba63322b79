"""Export rows; SIGTERM calls sys.exit, and `finally` saves the position.

The position moves on when the row is written.
"""

import os
import signal
import sys
import time
from pathlib import Path


def stop(number, frame):
    sys.exit(0)


def render(number):
    time.sleep(1)
    return f"row {number}\n"


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    checkpoint = out.joinpath("position")
    position = int(checkpoint.read_text()) if checkpoint.exists() else 0
    signal.signal(signal.SIGTERM, stop)
    try:
        while position < event["rows"]:
            text = render(position + 1)
            out.joinpath(f"{position + 1}.txt").write_text(text)
            position += 1
    finally:
        out.joinpath("position.tmp").write_text(str(position))
        os.replace(out.joinpath("position.tmp"), checkpoint)
    return {"rows": event["rows"]}
