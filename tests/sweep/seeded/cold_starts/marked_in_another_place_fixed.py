"""Fetch rates once, and use them for each sum; a graceful stop returns, and the next event goes on.

Whether the rates are there is read off the rates.
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
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out, rates = Path(os.environ["OUT"]), Path(tempfile.gettempdir(), "rates")
    if not rates.exists():
        time.sleep(1)
        replace(rates, "2")
        (out / "fetched").touch()
    for number in range(event["sums"]):
        if stopping:
            return {"stopped_at": number}
        time.sleep(1)
        replace(out / f"sum-{number}", str(int(rates.read_text()) * 21))
    return {"sums": event["sums"]}
