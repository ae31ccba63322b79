"""Fetch rates once, and use them for each sum; a graceful stop returns, and the next event goes on.

The rates are in /tmp, and the mark that says so is not: a cold start finds the mark and no rates.
"""

import os
import signal
import tempfile
import time
from pathlib import Path

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def replace(path, text):
    path.with_suffix(".new").write_text(text)  # window: cold never finishes
    os.replace(path.with_suffix(".new"), path)  # window: cold never finishes


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)  # window: cold never finishes
    out, rates = Path(os.environ["OUT"]), Path(tempfile.gettempdir(), "rates")  # window: cold never finishes
    if not (out / "fetched").exists():  # window: cold never finishes
        time.sleep(1)  # window: cold never finishes
        replace(rates, "2")
        (out / "fetched").touch()  # window: cold never finishes
    for number in range(event["sums"]):  # window: cold never finishes
        if stopping:
            return {"stopped_at": number}
        time.sleep(1)  # window: cold never finishes
        replace(out / f"sum-{number}", str(int(rates.read_text()) * 21))  # window: cold never finishes
    return {"sums": event["sums"]}
