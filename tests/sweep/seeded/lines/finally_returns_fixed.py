"""Export rows; SIGTERM raises an exception, which ends the loop, and the next event goes on at the checkpoint.

The function returns behind its `finally`, so that the exception goes on to the caller.
"""

import json
import os
import signal
import time
from pathlib import Path


class StopRequested(Exception):
    pass


def stop(number, frame):
    raise StopRequested


def export(out, number):
    try:
        time.sleep(1)
        row = json.dumps({"row": number})
        out.joinpath(f"{number}.json").write_text(row)
    finally:
        print(f"row {number} is over")
    return number + 1


def save(path, text):
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def main_handler(event, context):
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    checkpoint = out.joinpath("position")
    try:
        position = int(checkpoint.read_text()) if checkpoint.exists() else 0
        while position < event["rows"]:
            position = export(out, position)
            save(checkpoint, str(position))
    except StopRequested:
        return {"stopped": True}
    return {"rows": event["rows"]}
