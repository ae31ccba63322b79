"""Take orders out of an inbox; each has a ledger of all so far, and a link names the newest one.

The link is removed before it is made anew: a kill in between loses the orders that were taken before.
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
    newest = out / "newest"
    for order in sorted(inbox_of(out, event["orders"]).iterdir()):
        time.sleep(1)
        known = newest.read_text().splitlines() if newest.exists() else []
        if order.name not in known:
            ledger = out / f"ledger-{order.name}"
            ledger.write_text("\n".join([*known, order.name]))
            newest.unlink(missing_ok=True)
            newest.symlink_to(ledger.name)  # window: forced lost
        order.unlink()
    return {"orders": event["orders"]}
