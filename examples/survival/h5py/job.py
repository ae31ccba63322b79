"""Keeps its state in a file of HDF5; "flush" flushes it, "replaced" writes to a copy that replaces it."""

import os
import shutil
import sys
from pathlib import Path

import h5py
import numpy

directory, options = Path(sys.argv[1]), sys.argv[2:]
state, written = directory / "state.h5", directory / "state.h5"
if "replaced" in options:
    written = directory / "new.h5"
    written.unlink(missing_ok=True)
for step in range(3):
    if "replaced" in options and state.exists():
        shutil.copy(state, written)
    with h5py.File(written, "a", libver="latest" if "latest" in options else None) as file:
        if f"step {step}" not in file:
            file[f"step {step}"] = numpy.random.default_rng(step).integers(1000, size=5000)
        if "flush" in options:
            file.flush()
    if "replaced" in options:
        with open(written, "rb+") as new:
            os.fsync(new)
        os.replace(written, state)
with h5py.File(state, "r") as file:
    sums = [int(numpy.sum(file[name])) for name in sorted(file)]
(directory / "result.txt").write_text(f"{sums}\n")
