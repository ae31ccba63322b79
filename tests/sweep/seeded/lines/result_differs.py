"""Export rows that are not there yet, and return how many bytes they have together.

The sum is saved after the row, so that after a stop in between the row is skipped and its bytes are missing.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    size = int(out.joinpath("size").read_text()) if out.joinpath("size").exists() else 0
    for number in range(event["rows"]):
        path = out.joinpath(f"{number}.txt")
        if path.exists():
            continue
        time.sleep(1)
        size += path.with_suffix(".new").write_text(f"row {number}\n")
        path.with_suffix(".new").replace(path)  # window: graceful diverged
        out.joinpath("size.tmp").write_text(str(size))  # window: forced diverged; graceful diverged
        os.replace(out.joinpath("size.tmp"), out.joinpath("size"))  # window: forced diverged; graceful diverged
        print(f"{size} bytes")
    return {"bytes": size}
