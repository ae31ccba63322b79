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
    for number in range(load(out.joinpath("position")), event["invoices"]):
        time.sleep(1)
        total = load(out.joinpath("total")) + 100 + number
        out.joinpath("total.tmp").write_text(str(total))
        os.replace(out.joinpath("total.tmp"), out.joinpath("total"))  # window: graceful diverged
        out.joinpath("position.tmp").write_text(str(number + 1))  # window: forced diverged; graceful diverged
        os.replace(out.joinpath("position.tmp"), out.joinpath("position"))  # window: forced diverged; graceful diverged
        print(f"invoice {number} is added")
    return {"invoices": event["invoices"]}
