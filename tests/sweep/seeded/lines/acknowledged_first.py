"""Take jobs from a queue in SQLite and write one file for each.

A job is acknowledged before its file is written, so that a stop in between loses it.
"""

import os
import sqlite3
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    queue = sqlite3.connect(out.joinpath("queue.db"))
    queue.execute("CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY, state TEXT)")
    for number in range(event["rows"]):
        queue.execute("INSERT OR IGNORE INTO job VALUES (?, 'waiting')", (number,))
    queue.commit()
    waiting = queue.execute("SELECT id FROM job WHERE state = 'waiting' ORDER BY id").fetchall()
    for (number,) in waiting:
        time.sleep(1)
        queue.execute("UPDATE job SET state = 'done' WHERE id = ?", (number,))
        queue.commit()  # window: graceful lost
        out.joinpath(f"{number}.txt").write_text(f"job {number}\n")  # window: forced lost; graceful lost
        print(f"job {number} is done")
    return {"jobs": event["rows"]}
