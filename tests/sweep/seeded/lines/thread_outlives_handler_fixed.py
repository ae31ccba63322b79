"""Export rows, then have a thread write the index while the handler does the rest.

Only when the thread has ended is the export noted as complete.
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
    index = threading.Thread(target=write_index, args=(out, event["rows"]))
    index.start()
    time.sleep(1)
    index.join()
    out.joinpath("complete").touch()
    return {"rows": event["rows"]}
