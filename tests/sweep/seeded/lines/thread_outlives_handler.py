"""Export rows, then have a thread write the index while the handler notes that the export is complete.

A stop returns without the thread, so that its index is never written, and the note keeps the next event from doing it.
"""

import os
import signal
import threading
import time
from pathlib import Path

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def write_index(out, rows):
    time.sleep(20)
    out.joinpath("index.txt").write_text(f"{rows} rows\n")


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    if out.joinpath("complete").exists():
        return {"rows": event["rows"]}
    for number in range(event["rows"]):
        out.joinpath(f"{number}.txt").write_text(f"row {number}\n")
    if stopping:
        return {"stopped": True}
    index = threading.Thread(target=write_index, args=(out, event["rows"]))  # window: graceful lost
    index.start()  # window: graceful lost
    out.joinpath("complete").touch()  # window: graceful lost
    time.sleep(1)  # window: forced lost; graceful lost
    if stopping:  # window: forced lost
        return {"stopped": True}
    index.join()  # window: forced lost
    return {"rows": event["rows"]}
