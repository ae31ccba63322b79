"""Has a shell script do the work, and passes SIGTERM on to it."""

import os
import signal
import subprocess

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "archive.sh")


def main_handler(event: dict[str, list[str]], context: dict[str, str]):
    child = subprocess.Popen(["sh", SCRIPT, *event["days"]])
    before = signal.signal(signal.SIGTERM, lambda signum, frame: child.terminate())
    try:
        code = child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    return {"complete": code == 0, "code": code}
