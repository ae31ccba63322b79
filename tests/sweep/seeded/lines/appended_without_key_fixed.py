"""Append messages to a journal; the journal itself says which message is next.

A message is found by its number, so that it is not appended again.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    path = out.joinpath("journal.txt")
    known = path.read_text() if path.exists() else ""
    for number in range(event["messages"]):
        if f"message {number}\n" in known:
            continue
        time.sleep(1)
        with open(path, "a") as journal:
            journal.write(f"message {number}\n")
        print(f"message {number} is written")
    return {"messages": event["messages"]}
