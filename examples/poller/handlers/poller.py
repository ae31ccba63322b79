"""Waits for a job of another system: checks once a minute, for a day at most. The job is done when a file exists."""

import os
import signal
import time
from datetime import datetime
from pathlib import Path

EVERY = 60
RESERVE = 5 * 60


class Stop(Exception):
    pass


def stop(signum: int, frame: object):
    raise Stop


def main_handler(event: dict[str, int], context: dict[str, int]):
    job = Path(os.environ["JOB"])
    signal.signal(signal.SIGTERM, stop)
    limit = context["time_limit_in_ms"] / 1000
    give_up = time.monotonic() + limit - event.get("reserve", RESERVE)
    looks = 0
    print(f"waiting since {datetime.now():%H:%M}")
    try:
        while time.monotonic() < give_up:
            looks += 1
            if job.exists():
                print(f"done at {datetime.now():%H:%M}")
                return {"job": job.read_text(), "looks": looks}
            time.sleep(EVERY)
    except Stop:
        return {"job": "cancelled", "looks": looks}
    return {"job": "not done within a day", "looks": looks}
