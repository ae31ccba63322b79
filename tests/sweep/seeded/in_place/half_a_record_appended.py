"""Append records of two lines to a file, and skip those that are there.

The lines are two writes: a kill in between leaves half a record, which counts as there.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    path = Path(os.environ["OUT"], "records")
    for number in range(event["records"]):
        if path.exists() and f"record {number}\n" in path.read_text():
            continue
        time.sleep(1)
        with open(path, "ab", buffering=0) as file:
            file.writelines([f"record {number}\n".encode(), f"its sum: {number}\n".encode()])  # window: effect lost
    return {"records": event["records"]}
