"""Append rows to a CSV file that begins with a header.

The header counts as there where the file exists, so a kill before it is written leaves a file without one.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    path = Path(os.environ["OUT"], "rows.csv")
    if not path.exists():
        path.write_text("number,name\n")  # window: effect lost
    first = max(len(path.read_text().splitlines()) - 1, 0)
    for number in range(first, event["rows"]):
        time.sleep(1)
        with open(path, "a") as file:
            file.write(f"{number},row\n")
    return {"rows": event["rows"]}
