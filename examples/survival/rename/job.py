"""Keeps its state in a new file that replaces the old one; "sync" syncs the file, "directory" its name."""

import json
import os
import sys
from pathlib import Path

directory, options = sys.argv[1], sys.argv[2:]
state = Path(directory, "state.json")
done: list[str] = json.loads(state.read_text()) if state.exists() else []
for step in range(len(done), 3):
    done.append(f"step {step} " * 1000)
    with open(f"{state}.new", "w") as file:
        json.dump(done, file)
        if "sync" in options:
            file.flush()
            os.fsync(file.fileno())
    os.replace(f"{state}.new", state)
    if "directory" in options:
        names = os.open(directory, os.O_RDONLY)
        os.fsync(names)
        os.close(names)
