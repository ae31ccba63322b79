"""Copy a template to each page, and skip the pages that are there.

A copy has its name before it has its content, so that a kill within shutil.copyfile leaves an empty page, which counts.
"""

import os
import shutil
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    template = out / "template"
    template.write_text("a page\n")
    for number in range(event["pages"]):
        page = out / f"page-{number}"
        if page.exists():
            continue
        time.sleep(1)
        shutil.copyfile(template, page)  # window: effect lost
    return {"pages": event["pages"]}
