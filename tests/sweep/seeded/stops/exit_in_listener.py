"""Export rows; SIGTERM calls sys.exit, and `finally` saves the position.

The position moves on before the row is written, so that a row in which SIGTERM comes is left out.
"""

import os
import signal
import sys
import time
from pathlib import Path


def stop(number, frame):
    sys.exit(0)


def render(number):
    time.sleep(1)  # window: graceful lost
    return f"row {number}\n"


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    checkpoint = out.joinpath("position")
    position = int(checkpoint.read_text()) if checkpoint.exists() else 0
    signal.signal(signal.SIGTERM, stop)
    try:
        while position < event["rows"]:
            position += 1
            text = render(position)
            out.joinpath(f"{position}.txt").write_text(text)  # window: graceful lost
    finally:
        out.joinpath("position.tmp").write_text(str(position))
        os.replace(out.joinpath("position.tmp"), checkpoint)
    return {"rows": event["rows"]}
