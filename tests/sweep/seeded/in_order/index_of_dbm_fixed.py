"""Take orders out of an inbox, keep them in a table of dbm.dumb, and list them in the end.

The table is a JSON file, which is replaced as a whole.
"""

import json
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
        path = out / "orders.json"
        table = json.loads(path.read_text()) if path.exists() else {}
        for order in sorted(inbox_of(out, event["orders"]).iterdir()):
            time.sleep(1)
            table[order.name] = order.read_text()
            path.with_suffix(".new").write_text(json.dumps(table))
            os.replace(path.with_suffix(".new"), path)
            order.unlink()
        (out / "listed.new").write_text("\n".join(sorted(table)))
        os.replace(out / "listed.new", out / "listed")
    for path in out.glob("orders.*"):
        path.unlink()
    return {"orders": event["orders"]}
