"""Appends a row for each step to a CSV file; with "replace" it writes all rows to a new one, which replaces the old."""

import csv
import os
import sys
from pathlib import Path

table, replaces = Path(sys.argv[1], "steps.csv"), "replace" in sys.argv[2:]
rows: list[list[str]] = []
if table.exists():
    with open(table, newline="") as file:
        rows = list(csv.reader(file))
for step in range(len(rows), 3):
    rows.append([str(step), f"step {step} " * 1000])
    if not replaces:
        with open(table, "a", newline="") as file:
            csv.writer(file).writerow(rows[-1])
        continue
    with open(f"{table}.new", "w", newline="") as file:
        csv.writer(file).writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{table}.new", table)
