"""Take orders out of an inbox, and keep their names in a ledger.

The new ledger takes the place of the old one by a rename.
"""

import os
import time
from pathlib import Path


def inbox_of(out, orders):
    inbox = out / "inbox"
    if not inbox.exists():
        (out / "new").mkdir(exist_ok=True)
        for number in range(orders):
            (out / "new" / f"order-{number}").write_text("an order")
        os.replace(out / "new", inbox)
    return inbox


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    ledger = out / "ledger"
    for order in sorted(inbox_of(out, event["orders"]).iterdir()):
        time.sleep(1)
        known = ledger.read_text().splitlines() if ledger.exists() else []
        (out / "ledger.new").write_text("\n".join(sorted({*known, order.name})))
        os.replace(out / "ledger.new", ledger)
        order.unlink()
    return {"orders": event["orders"]}
