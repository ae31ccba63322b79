"""Has its steps done by a consumer of huey, from a queue in SQLite; "again" enqueues all at each start, synced."""

import sys
import time
from pathlib import Path

import steps
from huey import SqliteHuey

directory, options = Path(sys.argv[1]), sys.argv[2:]
huey = SqliteHuey(filename=str(directory / "huey.db"), fsync="again" in options or None)


@huey.task()
def write(step: int) -> None:
    steps.write(str(directory), f"step-{step}.txt", f"step {step} " * 1000)


if "again" in options:
    huey.flush()
if "again" in options or not (directory / "enqueued").exists():
    for step in range(3):
        write(step)
    (directory / "enqueued").touch()
consumer = huey.create_consumer(workers=1)
consumer.start()
while huey.pending_count():
    time.sleep(1)
consumer.stop(graceful=True)
