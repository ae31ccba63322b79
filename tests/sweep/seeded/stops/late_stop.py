"""Import files of one second each; after the second one the index is rebuilt, which takes 40 seconds.

The flag that SIGTERM sets is read between files only, so that a stop before or in the rebuild takes too long.
"""

import os
import signal
import time
from pathlib import Path

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def rebuild(out, number):
    print("rebuilding the index")  # window: graceful late
    time.sleep(40)
    out.joinpath("index.txt").write_text(f"up to {number}\n")


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    for number in range(event["files"]):
        if stopping:
            return {"stopped_at": number}
        time.sleep(1)  # window: graceful late
        out.joinpath(f"{number}.txt").write_text(f"file {number}\n")  # window: graceful late
        if number == 1:
            rebuild(out, number)
    return {"files": event["files"]}
