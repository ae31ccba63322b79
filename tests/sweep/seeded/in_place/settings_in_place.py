"""Take orders out of an inbox, and keep their names in a file of configparser.

The file is opened for writing and written in one line: a kill in between leaves an empty one, which is valid.
"""

import configparser
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
    path = out / "orders.ini"
    for order in sorted(inbox_of(out, event["orders"]).iterdir()):
        time.sleep(1)
        known = configparser.ConfigParser()
        known.read(path)
        known[order.name] = {"state": "taken"}
        known.write(open(path, "w"))  # noqa: SIM115  # window: effect lost
        order.unlink()
    return {"orders": event["orders"]}
