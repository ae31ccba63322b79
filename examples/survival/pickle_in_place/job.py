"""Keeps its state in a pickle; with "replace" in a new one that replaces the old one, when it is synced."""

import os
import pickle
import sys
from pathlib import Path

state = Path(sys.argv[1], "state.pickle")
target = state.with_suffix(".new") if "replace" in sys.argv[2:] else state
done: list[str] = []
if state.exists():
    with open(state, "rb") as file:
        done = pickle.load(file)
for step in range(len(done), 3):
    done.append(f"step {step} " * 1000)
    with open(target, "wb") as file:
        pickle.dump(done, file, pickle.HIGHEST_PROTOCOL)
        if target != state:
            file.flush()
            os.fsync(file.fileno())
    if target != state:
        os.replace(target, state)
