"""Write pages, each with an index, and skip the pages that are there.

A page gets its name before its index does: a kill in between leaves a page without one, which counts as done.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for number in range(event["pages"]):
        page, index = out / f"page-{number}", out / f"index-{number}"
        if page.exists():
            continue
        time.sleep(1)
        (out / "page.new").write_text(f"page {number}\n")
        (out / "index.new").write_text(f"index {number}\n")
        list(map(os.replace, (out / "page.new", out / "index.new"), (page, index)))  # window: effect lost
    (out / "index.new").unlink(missing_ok=True)
    return {"pages": event["pages"]}
