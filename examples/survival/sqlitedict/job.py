"""Keeps its state in a SqliteDict; "autocommit" commits by itself, in a thread."""

import sys
from pathlib import Path

from sqlitedict import SqliteDict

state, options = Path(sys.argv[1], "state.sqlite"), sys.argv[2:]
with SqliteDict(str(state), autocommit="autocommit" in options) as steps:
    for step in range(len(steps), 3):
        steps[step] = f"step {step} " * 1000
        if "autocommit" not in options:
            steps.commit()
