"""Append messages to a journal, with the position of the next message in a checkpoint.

A message is appended before the checkpoint moves on, so that a stop in between appends it again.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    checkpoint = out.joinpath("position")
    position = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for number in range(position, event["messages"]):
        time.sleep(1)
        with open(out.joinpath("journal.txt"), "a") as journal:  # window: graceful doubled
            journal.write(f"message {number}\n")
        out.joinpath("position.tmp").write_text(str(number + 1))  # window: forced doubled; graceful doubled
        os.replace(out.joinpath("position.tmp"), checkpoint)  # window: forced doubled; graceful doubled
        print(f"message {number} is written")
    return {"messages": event["messages"]}
