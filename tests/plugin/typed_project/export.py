"""What the typed project tests."""

import signal
import sys
import time
from typing import Any

from pytest_scf_async.inside import record


def main_handler(event: dict[str, int], context: dict[str, Any]) -> dict[str, int]:
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, _frame: stop.append(signum))
    if event.get("exit"):
        sys.exit(event["exit"])
    done = 0
    while done < event["rows"] and not stop:
        print("row", done)
        done += 1
        time.sleep(1)
    record("rows", count=done)
    return {"rows": done}
