"""Keeps its state in a file of NumPy; "replaced" writes a new file, which replaces the old one."""

import os
import sys
from pathlib import Path

import numpy

directory, options = Path(sys.argv[1]), sys.argv[2:]
state = directory / "state.npy"
rows = numpy.load(state) if state.exists() else numpy.empty((0, 5000), "int64")
for step in range(len(rows), 3):
    rows = numpy.vstack([rows, numpy.random.default_rng(step).integers(1000, size=5000)])
    if "replaced" not in options:
        numpy.save(state, rows)
        continue
    with open(directory / "new.npy", "wb") as file:
        numpy.save(file, rows)
        file.flush()
        os.fsync(file.fileno())
    os.replace(directory / "new.npy", state)
