"""Take orders out of an inbox, and keep their names in a ledger.

The ledger is emptied before it is written anew: a kill in between loses the orders that were taken before.
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
        ledger.touch()
        file = open(ledger, "r+")  # noqa: SIM115
        text = "\n".join(sorted({*file.read().splitlines(), order.name}))
        file.seek(0)
        file.truncate(0)
        file.write(text)  # window: forced lost
        file.close()  # window: forced lost
        order.unlink()
    return {"orders": event["orders"]}
