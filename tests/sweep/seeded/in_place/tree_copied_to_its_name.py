"""Make a site for each customer from a template, and skip the sites that are there.

A kill within shutil.copytree leaves a site that lacks files, and counts as there.
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
            shutil.copytree(template, site)  # window: effect lost
    return {"sites": event["sites"]}
