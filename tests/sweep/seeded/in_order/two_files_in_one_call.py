"""Write pages, each with the number of its lines, and skip the pages that are there.

A page counts as done before the number of its lines is there: a kill in between leaves a page without it.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for number in range(event["pages"]):
        page, lines = out / f"page-{number}", out / f"lines-{number}"
        if page.exists():
            continue
        time.sleep(1)
        list(map(Path.write_text, (page, lines), (f"page {number}\n", "1\n")))  # window: effect lost
    return {"pages": event["pages"]}
