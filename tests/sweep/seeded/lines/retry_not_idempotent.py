"""Charge orders with a provider, here a table, and try again up to three times when a connection fails.

SIGTERM raises an OSError, which the retry takes for a failed connection, so that an order is charged twice.
"""

import os
import signal
import sqlite3
import time
from pathlib import Path


def stop(number, frame):
    raise InterruptedError("SIGTERM")


def charge(provider, order):
    provider.execute("INSERT INTO charge (order_id) VALUES (?)", (order,))  # window: graceful doubled
    provider.commit()  # window: graceful doubled
    time.sleep(1)  # window: forced doubled; graceful doubled


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    provider = sqlite3.connect(out.joinpath("provider.db"))
    provider.execute("CREATE TABLE IF NOT EXISTS charge (order_id INTEGER)")
    signal.signal(signal.SIGTERM, stop)
    for order in range(event["orders"]):
        if out.joinpath(f"{order}.paid").exists():
            continue
        for attempt in range(3):
            try:
                charge(provider, order)
                break  # window: forced doubled
            except OSError as error:
                print(f"order {order}, attempt {attempt}: {error}")
        out.joinpath(f"{order}.paid").touch()  # window: forced doubled; graceful doubled
    return {"orders": event["orders"]}
