"""Collects a report in /tmp and publishes it at the end: what is not published yet goes with the instance."""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path


def main_handler(event: dict[str, int], context: dict[str, str]):
    page, stopping = 0, False

    def stop(signum: int, frame: object):
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    draft = Path(tempfile.gettempdir(), "report.txt")
    with open(draft, "w") as report:
        for page in range(1, event["pages"] + 1):
            report.write(f"page {page}\n")
            report.flush()
            time.sleep(60)
            if stopping:
                break
    shutil.move(draft, Path(os.environ["OUT"], "report.txt"))
    return {"pages": page}
