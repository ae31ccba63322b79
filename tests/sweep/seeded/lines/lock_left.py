"""Export rows, one file each, and join them to one file under a lock.

The lock is a file that only this process removes, so that after a stop while it is held no other event ever gets it.
"""

import os
import time
from pathlib import Path


def join(out, rows):
    lock = os.open(out.joinpath("lock"), os.O_CREAT | os.O_EXCL)  # window: graceful never finishes
    text = ""  # window: forced never finishes
    for number in range(rows):  # window: forced never finishes; graceful never finishes
        text += out.joinpath(f"{number}.txt").read_text()  # window: forced never finishes; graceful never finishes
    out.joinpath("all.txt").write_text(text)  # window: forced never finishes; graceful never finishes
    os.close(lock)  # window: forced never finishes; graceful never finishes
    os.remove(out.joinpath("lock"))  # window: forced never finishes; graceful never finishes


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for number in range(event["rows"]):
        time.sleep(1)
        out.joinpath(f"{number}.txt").write_text(f"row {number}\n")
        print(f"row {number} is exported")
    join(out, event["rows"])
    return {"rows": event["rows"]}
