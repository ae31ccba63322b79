"""Write rows to a database, and commit them in the end; a graceful stop returns.

The open transaction is in the connection, which the next cold start does not have, and the position is in a file.
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
    first = int((out / "position").read_text()) if (out / "position").exists() else 0
    for number in range(first, event["rows"]):  # window: cold lost
        if stopping:
            replace(out / "position", str(number))
            return {"stopped_at": number}
        time.sleep(1)  # window: cold lost
        connections[0].execute("INSERT OR IGNORE INTO row VALUES (?)", (number,))  # window: cold lost
    connections[0].commit()
    (out / "position").unlink(missing_ok=True)
    return {"rows": event["rows"]}
