"""Copy a template to each page, and skip the pages that are there.

The copy is made under another name and renamed.
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
        shutil.copyfile(template, out / "page.new")
        os.replace(out / "page.new", page)
    return {"pages": event["pages"]}
