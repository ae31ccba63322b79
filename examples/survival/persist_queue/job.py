"""Takes its work from a queue of persist-queue, and notes there what is done."""

import sys
from pathlib import Path

import persistqueue
import steps

directory, kind = Path(sys.argv[1]), sys.argv[2]
path = str(directory / "queue")
if kind == "sqlite":
    queue = persistqueue.SQLiteQueue(path, auto_commit=True)
elif kind == "sqlite-ack":
    queue = persistqueue.SQLiteAckQueue(path)
else:
    queue = persistqueue.Queue(path, tempdir=path, autosave=kind == "autosave")
if not (directory / "filled").exists():
    for step in range(queue.qsize(), 3):
        queue.put(f"step {step} " * 1000)
    (directory / "filled").touch()
while queue.qsize():
    text = queue.get()
    steps.write(str(directory), f"{text[:6]}.txt", text)
    if kind == "sqlite-ack":
        queue.ack(text)
    else:
        queue.task_done()
