"""Take batches of items out of an inbox: each has a list of its items, and is removed then.

The batch is renamed before it is removed.
"""

import os
import shutil
import time
from pathlib import Path


def inbox_of(out, batches):
    inbox = out / "inbox"
    if not inbox.exists():
        (out / "new").mkdir(exist_ok=True)
        for number in range(batches):
            (out / "new" / f"batch-{number}").mkdir(exist_ok=True)
            (out / "new" / f"batch-{number}" / "pen").write_text("an item")
            (out / "new" / f"batch-{number}" / "ink").write_text("an item")
        os.replace(out / "new", inbox)
    return inbox


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for batch in sorted(inbox_of(out, event["batches"]).iterdir()):
        time.sleep(1)
        (out / "list.new").write_text("\n".join(sorted(os.listdir(batch))))
        os.replace(out / "list.new", out / f"{batch.name}.txt")
        shutil.rmtree(out / "old", ignore_errors=True)
        os.replace(batch, out / "old")
        shutil.rmtree(out / "old")
    shutil.rmtree(out / "old", ignore_errors=True)
    return {"batches": event["batches"]}
