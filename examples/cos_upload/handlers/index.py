"""Counts the lines of each object that is uploaded, and writes them into an index; COS triggers it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the package is not on the platform
    from pytest_scf_async.triggers.messages import CosEvent

STORE = Path(os.environ["STORE"])
INDEX = STORE / "index.json"


def main_handler(event: CosEvent, context: dict[str, str]) -> dict[str, int]:
    index: dict[str, int] = json.loads(INDEX.read_text()) if INDEX.exists() else {}
    for record in event["Records"]:
        bucket, key = record["cos"]["cosBucket"], record["cos"]["cosObject"]["key"]
        name = key.removeprefix(f"/{bucket['appid']}/{bucket['name']}/")
        if record["event"]["eventName"].startswith("cos:ObjectRemove:"):
            index.pop(name, None)
        else:
            index[name] = len((STORE / name).read_text().splitlines())
            print(f"{name} has {index[name]} lines")
    INDEX.write_text(json.dumps(index))
    return index
