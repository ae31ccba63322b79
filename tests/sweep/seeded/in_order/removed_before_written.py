"""Take orders out of an inbox, and keep their names in a ledger.

The old ledger is removed before the new one is written: a kill in between loses the orders that were taken before.
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
        text = "\n".join(sorted({*known, order.name}))
        ledger.unlink(missing_ok=True)
        ledger.write_text(text)  # window: forced lost; effect lost
        order.unlink()
    return {"orders": event["orders"]}
