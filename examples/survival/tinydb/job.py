"""Keeps its state in a database of TinyDB; "replaced" writes it to a new file, which replaces the old one."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tinydb import TinyDB
from tinydb.storages import JSONStorage


class ReplacedStorage(JSONStorage):
    """Writes the database to a new file, which replaces the old one."""

    def write(self, data: dict[str, Any]) -> None:
        with open(f"{state}.new", "w") as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{state}.new", state)
        self._handle = open(state, "r+")


state = Path(sys.argv[1], "state.json")
database = TinyDB(state, storage=ReplacedStorage if "replaced" in sys.argv else JSONStorage)
for step in range(len(database), 3):
    database.insert({"step": step, "text": f"step {step} " * 1000})
