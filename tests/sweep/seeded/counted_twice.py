"""Add up the amounts of invoices, with the sum in one file and the position of the next invoice in another.

The sum is saved before the position, so that after a stop in between the same invoice is added again.
"""

import os
import time
from pathlib import Path


def load(path):
    return int(path.read_text()) if path.exists() else 0


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for number in range(load(out / "position"), event["invoices"]):
        time.sleep(1)
        total = load(out / "total") + 100 + number
        (out / "total.tmp").write_text(str(total))
        os.replace(out / "total.tmp", out / "total")  # window: graceful diverged
        (out / "position.tmp").write_text(str(number + 1))  # window: forced diverged; graceful diverged
        os.replace(out / "position.tmp", out / "position")  # window: forced diverged
        print(f"invoice {number} is added")
    return {"invoices": event["invoices"]}
