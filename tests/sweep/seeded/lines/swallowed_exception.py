"""Fetch rows and write them; rows that cannot be fetched are reported and left out.

SIGTERM raises an OSError, which looks like a row that cannot be fetched, so that the row is left out for good.
"""

import os
import signal
import time
from pathlib import Path


def stop(number, frame):
    raise InterruptedError("SIGTERM")


def fetch(number):
    time.sleep(1)  # window: graceful lost
    return f"row {number}\n"


def main_handler(event, context):
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    checkpoint = out.joinpath("position")
    position = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for number in range(position, event["rows"]):
        try:
            text = fetch(number)
            out.joinpath(f"{number}.txt").write_text(text)  # window: graceful lost
        except OSError as error:
            print(f"row {number} is left out: {error}")
        out.joinpath("position.tmp").write_text(str(number + 1))
        os.replace(out.joinpath("position.tmp"), checkpoint)
    return {"rows": event["rows"]}
