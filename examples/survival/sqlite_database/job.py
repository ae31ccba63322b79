"""Adds a row for each step to a table of SQLite: a transaction each, with the journal and syncs that are given."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

directory, journal, synchronous = sys.argv[1:]
with closing(sqlite3.connect(Path(directory, "steps.db"))) as database:
    database.execute(f"PRAGMA journal_mode={journal}")
    database.execute(f"PRAGMA synchronous={synchronous}")
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS steps (step INTEGER PRIMARY KEY, text TEXT)")
    (done,) = database.execute("SELECT count(*) FROM steps").fetchone()
    for step in range(done, 3):
        with database:
            database.execute("INSERT INTO steps VALUES (?, ?)", (step, f"step {step} " * 1000))
