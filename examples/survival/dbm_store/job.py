"""Keeps its state in a database of the module that its second argument names: a key for each step."""

import importlib
import sys
from pathlib import Path

directory, module, flags, *options = sys.argv[1:]
dbm = importlib.import_module(module)
with dbm.open(str(Path(directory, "steps")), flags) as store:
    for step in range(len(store), 3):
        store[f"step {step}"] = f"step {step} " * (100 if module == "dbm.ndbm" else 1000)
        if "sync" in options:
            store.sync()
    keys = store.keys()  # gnu and ndbm have no other way
    Path(directory, "result.txt").write_text(f"{sorted((key, store[key]) for key in keys)}\n")
