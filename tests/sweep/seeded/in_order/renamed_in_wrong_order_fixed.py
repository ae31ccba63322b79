"""Write pages, each with an index, and skip the pages that are there.

The index gets its name first.
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
        list(map(os.replace, (out / "index.new", out / "page.new"), (index, page)))
    (out / "index.new").unlink(missing_ok=True)
    return {"pages": event["pages"]}
