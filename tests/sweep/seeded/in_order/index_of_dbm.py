"""Take orders out of an inbox, keep them in a table of dbm.dumb, and list them in the end.

The index of the table is moved away and written anew: a kill in between leaves none, and the table is empty.
"""

import dbm.dumb
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
    if not (out / "listed").exists():
        table = dbm.dumb.open(str(out / "orders"), "c")  # noqa: SIM115
        for order in sorted(inbox_of(out, event["orders"]).iterdir()):
            time.sleep(1)
            table[order.name] = order.read_bytes()
            table.sync()  # window: effect lost
            order.unlink()
        (out / "listed.new").write_text("\n".join(sorted(map(os.fsdecode, table))))
        os.replace(out / "listed.new", out / "listed")
        table.close()
    for path in out.glob("orders.*"):
        path.unlink()
    return {"orders": event["orders"]}
