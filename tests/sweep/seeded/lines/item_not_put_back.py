"""Work on a queue that is a JSON file, and write it back with what is left when SIGTERM comes.

The flag is read after an item is taken, so that this item is neither worked on nor written back.
"""

import json
import os
import signal
import time
from pathlib import Path

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    path = out.joinpath("queue.json")
    queue = json.loads(path.read_text()) if path.exists() else list(range(event["items"]))
    while queue:
        if stopping:
            break
        item = queue.pop(0)  # window: graceful lost
        if stopping:
            break
        time.sleep(1)
        out.joinpath(f"{item}.txt").write_text(f"item {item}\n")
    out.joinpath("queue.tmp").write_text(json.dumps(queue))
    os.replace(out.joinpath("queue.tmp"), path)
    return {"left": len(queue)}
