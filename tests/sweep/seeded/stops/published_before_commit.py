"""Publish orders and mark them as published in a table; at SIGTERM, end with what is committed.

An order is published before the flag is read, and its mark is then not committed, so that it is published again.
"""

import os
import signal
import sqlite3
import time
from pathlib import Path

from pytest_scf_async import inside

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    orders = sqlite3.connect(Path(os.environ["OUT"], "orders.db"))
    orders.execute("CREATE TABLE IF NOT EXISTS published (id INTEGER PRIMARY KEY)")
    (done,) = orders.execute("SELECT count(*) FROM published").fetchone()
    for number in range(done, event["orders"]):
        if stopping:
            break
        time.sleep(1)  # window: graceful doubled
        orders.execute("INSERT INTO published VALUES (?)", (number,))  # window: graceful doubled
        inside.record("published", order=number)  # window: graceful doubled
        if stopping:
            break
        orders.commit()
        done = number + 1
    orders.close()
    return {"orders": done}
