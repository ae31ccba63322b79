"""Append records of two lines to a file, and skip those that are there.

A record is one write.
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
            file.write(f"record {number}\nits sum: {number}\n".encode())
    return {"records": event["records"]}
