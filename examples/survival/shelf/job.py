"""Keeps its state in a shelf: a key for each step; with "writeback" a list that it changes in place and syncs."""

import shelve
import sys
from pathlib import Path

directory, options = sys.argv[1], sys.argv[2:]
with shelve.open(Path(directory, "shelf"), writeback="writeback" in options) as shelf:
    if "writeback" in options:
        shelf.setdefault("done", [])
        for step in range(len(shelf["done"]), 3):
            shelf["done"].append(f"step {step} " * 1000)
            shelf.sync()
    else:
        for step in range(len(shelf), 3):
            shelf[f"step {step}"] = f"step {step} " * 1000
    Path(directory, "result.txt").write_text(f"{sorted(shelf.items())}\n")
