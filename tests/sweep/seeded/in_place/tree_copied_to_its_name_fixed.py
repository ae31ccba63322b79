"""Make a site for each customer from a template, and skip the sites that are there.

The tree is copied to another name and renamed as a whole.
"""

import os
import shutil
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    template = out / "template"
    template.mkdir(exist_ok=True)
    for name in ("index", "style"):
        template.joinpath(name).write_text(f"{name}\n")
    for number in range(event["sites"]):
        site = out / f"site-{number}"
        if not site.exists():
            time.sleep(1)
            shutil.rmtree(out / "new", ignore_errors=True)
            shutil.copytree(template, out / "new")
            os.replace(out / "new", site)
    return {"sites": event["sites"]}
