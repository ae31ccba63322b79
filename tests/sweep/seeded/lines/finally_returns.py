"""Export rows; SIGTERM raises an exception, which ends the loop, and the next event goes on at the checkpoint.

`finally: return` drops the exception, so that a row that was interrupted before it was written counts as exported.
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
        time.sleep(1)  # window: graceful lost
        row = json.dumps({"row": number})  # window: graceful lost
        out.joinpath(f"{number}.json").write_text(row)  # window: graceful lost
    finally:
        print(f"row {number} is exported")
        return number + 1  # noqa: B012


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
