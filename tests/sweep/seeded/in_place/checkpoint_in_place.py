"""Append rows to a file, with a checkpoint after each row.

The checkpoint is written in place: a kill between open and write leaves an empty file, which is no number.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    checkpoint = out / "checkpoint"
    first = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for number in range(first, event["rows"]):
        time.sleep(1)
        with open(out / "rows.csv", "a") as rows:
            rows.write(f"row {number}\n")
        checkpoint.write_text(str(number + 1))  # window: effect never finishes
    return {"rows": event["rows"]}
