"""Export rows that are not there yet, and return how many bytes they have together.

The sum is made of the files at the end, whoever has written them.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    size = 0
    for number in range(event["rows"]):
        path = out.joinpath(f"{number}.txt")
        if not path.exists():
            time.sleep(1)
            path.with_suffix(".new").write_text(f"row {number}\n")
            path.with_suffix(".new").replace(path)
        size += path.stat().st_size
        print(f"{size} bytes")
    return {"bytes": size}
