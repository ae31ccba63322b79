"""Add up the amounts of invoices, with the sum and the position of the next invoice in one file.

Both change in the same rename.
"""

import json
import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    state = {"position": 0, "total": 0}
    if out.joinpath("state.json").exists():
        state = json.loads(out.joinpath("state.json").read_text())
    for number in range(state["position"], event["invoices"]):
        time.sleep(1)
        state = {"position": number + 1, "total": state["total"] + 100 + number}
        out.joinpath("state.tmp").write_text(json.dumps(state))
        os.replace(out.joinpath("state.tmp"), out.joinpath("state.json"))
        print(f"invoice {number} is added")
    return {"invoices": event["invoices"]}
