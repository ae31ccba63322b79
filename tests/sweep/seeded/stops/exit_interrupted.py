"""Export rows under a lock file, which a context manager removes; SIGTERM calls sys.exit.

The exception also comes while the context manager takes or gives back the lock, which then stays.
"""

import os
import signal
import sys
import time
from pathlib import Path


class Lock:
    def __init__(self, path):
        self.path = path

    def __enter__(self):
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL))  # window: graceful never finishes
        return self

    def __exit__(self, *raised):
        print("the lock is given back")  # window: graceful never finishes
        os.remove(self.path)


def stop(number, frame):
    sys.exit(0)


def main_handler(event, context):
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    for number in range(event["rows"]):
        with Lock(out.joinpath("lock")):
            time.sleep(1)
            out.joinpath(f"{number}.txt").write_text(f"row {number}\n")
    return {"rows": event["rows"]}
