"""Publish orders and mark them as published in a table; at SIGTERM, end with what is committed.

The flag is read before an order is published; a published one is always committed.
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
        time.sleep(1)
        orders.execute("INSERT INTO published VALUES (?)", (number,))
        orders.commit()
        inside.record("published", order=number)
        done = number + 1
    orders.close()
    return {"orders": done}
