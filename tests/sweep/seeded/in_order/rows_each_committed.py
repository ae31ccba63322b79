"""Write invoices to a database, three items each; an invoice that has items is skipped.

Without a transaction each item is committed alone: a kill in between leaves an invoice that lacks items.
"""

import os
import sqlite3
import time
from pathlib import Path


def main_handler(event, context):
    database = sqlite3.connect(Path(os.environ["OUT"], "invoices.db"), isolation_level=None)
    database.execute("CREATE TABLE IF NOT EXISTS item (invoice INTEGER, name TEXT)")
    for invoice in range(event["invoices"]):
        (found,) = database.execute("SELECT count(*) FROM item WHERE invoice = ?", (invoice,)).fetchone()
        if not found:
            time.sleep(1)
            items = [(invoice, "pen"), (invoice, "ink"), (invoice, "paper")]
            database.executemany("INSERT INTO item VALUES (?, ?)", items)  # window: effect lost
    database.close()
    return {"invoices": event["invoices"]}
