"""Exports rows into a file. Stopped by SIGTERM, it keeps a checkpoint; the next event goes on from there."""

import json
import os
import signal
from pathlib import Path

OUT = Path(os.environ["OUT"])


def main_handler(event: dict[str, int], context: dict[str, str]):
    stopping = False

    def stop(signum: int, frame: object):
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)

    checkpoint = OUT / "checkpoint.json"
    done = json.loads(checkpoint.read_text())["row"] if checkpoint.exists() else 0
    rows = event["rows"]
    with open(OUT / "rows.csv", "a") as table:
        for row in range(done + 1, rows + 1):
            table.write(f"{row}\n")
            print(f"row {row} of {rows}")
            if stopping:
                checkpoint.write_text(json.dumps({"row": row}))
                return {"complete": False, "row": row}
    checkpoint.unlink(missing_ok=True)
    return {"complete": True, "row": rows}
