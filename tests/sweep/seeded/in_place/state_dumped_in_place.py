"""Count visits per page in a JSON file.

The file is opened for writing and dumped to in one line: a kill in between leaves no JSON, and no later event reads it.
"""

import json
import os
import time
from pathlib import Path


def main_handler(event, context):
    path = Path(os.environ["OUT"], "visits.json")
    visits = json.loads(path.read_text()) if path.exists() else {}
    for number in range(len(visits), event["pages"]):
        time.sleep(1)
        visits[f"page-{number}"] = number + 1
        json.dump(visits, open(path, "w"))  # noqa: SIM115  # window: effect never finishes
    return {"visits": len(visits)}
