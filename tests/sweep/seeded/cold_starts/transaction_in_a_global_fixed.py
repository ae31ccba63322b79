"""Write rows to a database, and commit them in the end; a graceful stop returns.

The position is the number of rows in the database, and a graceful stop commits.
"""

import os
import signal
import sqlite3
import time
from pathlib import Path

connections = []
stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def replace(path, text):
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    if not connections:
        connections.append(sqlite3.connect(out / "rows.db"))
        connections[0].execute("CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY)")
    (first,) = connections[0].execute("SELECT count(*) FROM row").fetchone()
    for number in range(first, event["rows"]):
        if stopping:
            connections[0].commit()
            return {"stopped_at": number}
        time.sleep(1)
        connections[0].execute("INSERT OR IGNORE INTO row VALUES (?)", (number,))
    connections[0].commit()
    return {"rows": event["rows"]}
