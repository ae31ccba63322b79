"""Charge orders with a provider, here a table, and try again up to three times when a connection fails.

A charge has its order as a key, so that the provider ignores one that it has.
"""

import os
import signal
import sqlite3
import time
from pathlib import Path


def stop(number, frame):
    raise InterruptedError("SIGTERM")


def charge(provider, order):
    provider.execute("INSERT OR IGNORE INTO charge (order_id) VALUES (?)", (order,))
    provider.commit()
    time.sleep(1)


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    provider = sqlite3.connect(out.joinpath("provider.db"))
    provider.execute("CREATE TABLE IF NOT EXISTS charge (order_id INTEGER PRIMARY KEY)")
    signal.signal(signal.SIGTERM, stop)
    for order in range(event["orders"]):
        if out.joinpath(f"{order}.paid").exists():
            continue
        for attempt in range(3):
            try:
                charge(provider, order)
                break
            except OSError as error:
                print(f"order {order}, attempt {attempt}: {error}")
        out.joinpath(f"{order}.paid").touch()
    return {"orders": event["orders"]}
