"""Bring a database to its version by a script, and write orders to it.

Each statement of the script is committed alone: a kill in between leaves a table that the script cannot make again.
"""

import os
import sqlite3
import time
from pathlib import Path

TABLE = "CREATE TABLE orders (id INTEGER PRIMARY KEY);"
COLUMN = "ALTER TABLE orders ADD COLUMN price INTEGER DEFAULT 0;"
VERSION = "PRAGMA user_version = 1;"


def main_handler(event, context):
    database = sqlite3.connect(Path(os.environ["OUT"], "orders.db"), isolation_level=None)
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version < 1:
        time.sleep(1)
        database.executescript(TABLE + COLUMN + VERSION)  # window: effect never finishes
    for number in range(event["orders"]):
        time.sleep(1)
        database.execute("INSERT OR IGNORE INTO orders VALUES (?, 10)", (number,))
    database.close()
    return {"orders": event["orders"]}
