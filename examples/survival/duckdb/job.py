"""Keeps its state in a database of DuckDB, a row a step; "aside" makes that under another name first."""

import os
import sys
from pathlib import Path

import duckdb

directory, options = Path(sys.argv[1]), sys.argv[2:]
state, new = directory / "state.duckdb", directory / "new.duckdb"
if "aside" in options and not state.exists():
    new.unlink(missing_ok=True)
    duckdb.connect(str(new)).close()
    os.replace(new, state)
database = duckdb.connect(str(state))
database.execute("CREATE TABLE IF NOT EXISTS steps (step INTEGER, text VARCHAR)")
(done,) = database.execute("SELECT count(*) FROM steps").fetchone()
for step in range(done, 3):
    database.execute("INSERT INTO steps VALUES (?, ?)", [step, f"step {step} " * 1000])
rows = database.execute("SELECT text FROM steps ORDER BY step").fetchall()
database.close()
(directory / "result.txt").write_text("\n".join(text for (text,) in rows))
