"""Move money between two accounts, transfer by transfer, by a script in SQL.

The script begins no transaction, so that each of its statements is committed alone, and a kill in between loses money.
"""

import os
import sqlite3
import time
from pathlib import Path

SETUP = "CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, balance INTEGER, moved INTEGER)"
ACCOUNTS = "INSERT OR IGNORE INTO account VALUES ('from', 100, 0), ('to', 0, 0)"
FROM = "UPDATE account SET balance = balance - 10, moved = moved + 1 WHERE name = 'from';"
TO = "UPDATE account SET balance = balance + 10, moved = moved + 1 WHERE name = 'to';"


def main_handler(event, context):
    bank = sqlite3.connect(Path(os.environ["OUT"], "bank.db"), isolation_level=None)
    bank.execute(SETUP)
    bank.execute(ACCOUNTS)
    (moved,) = bank.execute("SELECT moved FROM account WHERE name = 'from'").fetchone()
    for _ in range(moved, event["transfers"]):
        time.sleep(1)
        bank.executescript(FROM + TO)  # window: effect diverged
    bank.close()
    return {"transfers": event["transfers"]}
