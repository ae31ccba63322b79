"""Keeps its state in a table of pandas: "csv", "append" (to a CSV file) or "parquet"; "replaced": in a new file."""

import os
import random
import sys
from pathlib import Path

import pandas

directory, kind, options = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
state = directory / f"state.{kind}"
read = pandas.read_parquet if kind == "parquet" else pandas.read_csv
table = read(state) if state.exists() else pandas.DataFrame()
for step in range(len(table), 3):
    row = pandas.DataFrame({"step": [step], "text": [random.Random(step).randbytes(5000).hex()]})
    table = pandas.concat([table, row], ignore_index=True)
    written = directory / f"new.{kind}" if "replaced" in options else state
    if "append" in options:
        row.to_csv(state, mode="a", header=step == 0, index=False)
    elif kind == "csv":
        table.to_csv(written, index=False)
    else:
        table.to_parquet(written)
    if "replaced" in options:
        with open(written, "rb+") as new:
            os.fsync(new)
        os.replace(written, state)
(directory / "result.txt").write_text("\n".join(read(state)["text"]))
