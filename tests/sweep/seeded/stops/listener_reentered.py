"""Collect rows and append them to a file at the end; at SIGTERM, append what there is and exit.

A second SIGTERM runs the listener within itself, so that it appends the rows that the first one is about to append.
"""

import os
import signal
import sys
import time
from pathlib import Path

pending = []


def write_pending():
    with open(Path(os.environ["OUT"], "rows.csv"), "a") as file:  # window: again doubled
        file.write("".join(pending))  # window: again doubled
    pending.clear()


def stop(number, frame):
    write_pending()
    sys.exit(0)


def main_handler(event, context):
    pending.clear()
    path = Path(os.environ["OUT"], "rows.csv")
    position = len(set(path.read_text().splitlines())) if path.exists() else 0
    signal.signal(signal.SIGTERM, stop)
    for number in range(position, event["rows"]):
        time.sleep(1)
        pending.append(f"row {number}\n")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write_pending()
    return {"rows": event["rows"]}
