"""Move money from one account to another, transfer by transfer, with the last transfer in a table.

Debit, credit and the transfer itself are one transaction.
"""

import os
import sqlite3
import time
from pathlib import Path

MOVE = "UPDATE account SET balance = balance + ? WHERE name = ?"


def main_handler(event, context):
    bank = sqlite3.connect(Path(os.environ["OUT"], "bank.db"))
    bank.execute("CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, balance INTEGER)")
    bank.execute("CREATE TABLE IF NOT EXISTS transfer (id INTEGER PRIMARY KEY)")
    bank.execute("INSERT OR IGNORE INTO account VALUES ('from', 100), ('to', 0)")
    bank.commit()
    (done,) = bank.execute("SELECT count(*) FROM transfer").fetchone()
    for number in range(done, event["transfers"]):
        time.sleep(1)
        bank.execute("INSERT INTO transfer VALUES (?)", (number,))
        bank.execute(MOVE, (-10, "from"))
        bank.execute(MOVE, (10, "to"))
        bank.commit()
    return {"transfers": event["transfers"]}
