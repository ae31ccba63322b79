"""Appends a line for each step; with "cut" it first removes a last line that is not whole, with "sync" it syncs."""

import os
import sys
from pathlib import Path

log, options = Path(sys.argv[1], "steps.txt"), sys.argv[2:]
log.touch()
if "cut" in options:
    os.truncate(log, log.read_bytes().rfind(b"\n") + 1)
for step in range(len(log.read_text().splitlines()), 3):
    with open(log, "a") as file:
        file.write(f"step {step} " * 1000 + "\n")
        if "sync" in options:
            file.flush()
            os.fsync(file.fileno())
