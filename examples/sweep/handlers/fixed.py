"""Writes an invoice for each order of an inbox. An order is removed when its invoice is there."""

import json
import os
import time
from pathlib import Path


def main_handler(event: dict[str, int], context: dict[str, str]):
    inbox = Path(os.environ["INBOX"])
    invoices = Path(os.environ["INVOICES"])
    for name in sorted(os.listdir(inbox)):
        order = json.loads(inbox.joinpath(name).read_text())
        time.sleep(30)
        text = f"invoice {order['id']}: {order['price']}\n"
        invoices.joinpath(f"{order['id']}.txt").write_text(text)
        os.unlink(inbox.joinpath(name))
        print(f"invoice {order['id']} is written")
    return {"left": len(os.listdir(inbox))}
