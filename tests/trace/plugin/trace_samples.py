"""Traces made by hand, in the form that the trace's writer gives them."""

from __future__ import annotations

import shutil
from typing import Any

SECOND = 1_000_000
BACKUP = """\
import time


def main_handler(event, context):
    # Each part takes ten minutes.
    for part in range(event["parts"]):
        print(f"part {part} begins")
        time.sleep(600)
    return event["parts"]
"""
TRAIN = """\
import json
import os
from pathlib import Path

def main_handler(event, context):
    ckpt = Path(os.environ["OUT"], "ckpt.json")
    if ckpt.exists():
        state = json.loads(ckpt.read_text())
    for step in range(event["steps"]):
        step += 1
        ckpt.write_text(json.dumps(state))
    return state
"""
QUEUE = """\
import asyncio


async def consume(name, queue):
    while True:
        item = await queue.get()
        print(name, item)


async def main():
    lock = asyncio.Lock()
    queue = asyncio.Queue()
    workers = [asyncio.create_task(consume(f"w{n}", queue)) for n in range(3)]
    for n in range(6):
        await queue.put(n)
    await asyncio.sleep(1)
    async with lock:
        await lock.acquire()


def main_handler(event, context):
    asyncio.run(main())
"""
CAUSE = "no SIGTERM handler had been installed by then"
WHERE = "at the top of the module or of the function; in the test, call wait_until_listening() before terminate()"
Trace = dict[str, Any]


def source(name: str, text: str, folder: str = "handlers") -> Trace:
    return {"name": name, "path": f"{folder}/{name}", "first": 1, "lines": text.splitlines()}


def event(**given: Any) -> Trace:
    return {
        "id": "22474b0c-91f0-4d3c-8b1e-0d1f2a3b4c5d",
        "function": "backup",
        "qualifier": "$LATEST",
        "invoke_type": "Event",
        "status": "FINISHED",
        "code": 200,
        "begin": 0,
        "end": 0,
        "ended_by_harness": False,
        "checked": True,
        "instance": 0,
        "retry_num": 0,
        "statuses": [],
        "signals": [],
        "waits": [],
        "entries": [],
        "fold": [],
        "why": [],
        "holders": [],
    } | given


def trace(**given: Any) -> Trace:
    return {
        "format": "pytest-scf-async trace",
        "version": 1,
        "package": "0.1.0",
        "test": "tests/test_backup.py::test_a_backup_stops_cleanly",
        "outcome": "passed",
        "headline": "backup FINISHED after 0 s",
        "failure": None,
        "origin_us": 1_767_225_600_000_000,
        "zone_minutes": 480,
        "zone": "+08:00",
        "real_seconds": 0.012,
        "files": [],
        "texts": [],
        "places": [],
        "lanes": [lane("main", "main")],
        "instances": [instance()],
        "events": [],
        "sweeps": [],
        "cut": [],
    } | given


def lane(name: str, kind: str, instance: int = 0, parent: int | None = None) -> Trace:
    return {"name": name, "kind": kind, "instance": instance, "parent": parent}


def instance(**given: Any) -> Trace:
    return {
        "name": "instance 1 (pid 4711)",
        "function": "backup",
        "cold": True,
        "begin": 0,
        "end": None,
        "reclaimed": None,
        "lost_files": [],
        "tmp": None,
    } | given


def stop() -> Trace:
    """A backup that no SIGTERM handler protects: 439, as in the README."""
    at = 600 * SECOND
    end = at + 20_000
    it = trace(
        outcome="failed",
        headline=f"expected FINISHED (200), found FAILED (439): {CAUSE}",
        failure="AssertionError: expected FINISHED (200); found FAILED (439: User process exit when running)",
        files=[
            source("backup.py", BACKUP),
            source("test_backup.py", "def test():\n    event.stop(within=30)\n", "tests"),
        ],
        texts=["sleep(600)"],
        places=[["backup.py", 8, 0, None], ["test_backup.py", 2, 1, None]],
        instances=[
            instance(end=end, reclaimed="process exited", lost_files=["/tmp/part-0"], tmp=[["/tmp/part-0", 52_428_800]])
        ],
        events=[
            event(
                status="FAILED",
                code=439,
                end=end,
                statuses=[[0, "RUNNING", 0, "accepted"], [end, "FAILED", 439, "process exited"]],
                signals=[
                    {
                        "sent": at,
                        "disposition": "default",
                        "text": "SIGTERM sent; no handler is installed, so it ends the process",
                        "entered": None,
                        "left": None,
                        "raised": None,
                        "waits": [[0, 0]],
                    }
                ],
                waits=[[0, at, 0, 0, 0, 1, 0, None, 5]],
                entries=[
                    [0, "status", "RUNNING: accepted", None, None],
                    [0, "instance", "cold start", None, None],
                    [0, "platform", "START RequestId: 22474b0c-91f0-4d3c-8b1e-0d1f2a3b4c5d", None, None],
                    [0, "platform", "Init Report RequestId: 22474b0c Coldstart: 0ms", None, None],
                    [0, "log", "part 0 begins", None, None],
                    [at, "gate", "stands at wait_for_log('part 1 ')", None, 1],
                    [at, "signal", "SIGTERM sent; no handler is installed, so it ends the process", None, None],
                    [at, "platform", "[PLATFORM] Signal received successfully.", None, None],
                    [end, "status", "FAILED (439): process exited", None, None],
                    [end, "platform", "END RequestId: 22474b0c-91f0-4d3c-8b1e-0d1f2a3b4c5d", None, None],
                    [end, "instance", "reclaimed: process exited", None, None],
                ],
                fold=[[2, 3, "START and Init Report"]],
                why=[
                    f"likely cause: SIGTERM arrived 600 s after the start; {CAUSE}, so it ended the process",
                    f"what to do: call signal.signal(signal.SIGTERM, handler) in the main thread, {WHERE}",
                ],
            )
        ],
    )
    for number, row in enumerate(it["events"][0]["entries"]):
        row.append(1_000 * number)  # each comes a millisecond of real time later
    return it


def deadlock() -> Trace:
    """An asyncio program that waits for a lock of its own, until the timeout of a day."""
    day = 86_400 * SECOND
    lanes = [lane("main", "main"), *(lane(f"Task-{n}", "task", 0, 0) for n in range(1, 5))]
    gets = []
    entries = [[0, "status", "RUNNING: accepted", None, None], [0, "instance", "cold start", None, None]]
    for n in range(6):
        entries.append([1_000 * n, "log", f"w{n % 3} {n}", 2 + n % 3, None])
        gets.append([1_000 * n, 1_000 * (n + 3) if n < 3 else None, 2 + n % 3, 1, 0, 1, 1_000 * n, "notice"])
    entries += [
        [10_000, "record", "queue is empty", 1, None],
        [day, "status", "FAILED (433): timed out", None, None],
        [day, "instance", "reclaimed: timed out", None, None],
    ]
    waits = [
        *gets,
        [6_000, 1_006_000, 1, 0, 1, 1, 6_000, None],
        [1_006_000, None, 1, 2, 2, 1, 1_006_000, "own lock"],
    ]
    return trace(
        test="tests/test_queue.py::TestQueue::test_all_are_consumed[3 workers]",
        outcome="failed",
        headline="Task-1 was stuck at the `await` on queue.py:18 until the 86,400 s timeout",
        failure="AssertionError: expected FINISHED (200); found FAILED (433: timed out)",
        files=[source("queue.py", QUEUE)],
        texts=["sleep(1)", "Queue.get()", "Lock.acquire()"],
        places=[["queue.py", 6, 0, None], ["queue.py", 16, 0, None], ["queue.py", 18, 0, None]],
        lanes=lanes,
        instances=[instance(function="queue", end=day, reclaimed="timed out", tmp=[])],
        events=[
            event(
                function="queue",
                status="FAILED",
                code=433,
                end=day,
                statuses=[[0, "RUNNING", 0, "accepted"], [day, "FAILED", 433, "timed out"]],
                waits=sorted(waits, key=lambda wait: wait[0]),
                entries=entries,
                why=[
                    "likely cause: nothing ever completed this wait",
                    "what to do: check what should have, or add a timeout",
                ],
                holders=[["lock at queue.py:11", "Task-1 at queue.py:17"]],
            )
        ],
    )


def servers(workers: int = 4) -> Trace:
    """gunicorn with workers, each with threads, two instances and two functions."""
    lanes: list[Trace] = []
    waits: list[Any] = []
    entries: list[Any] = [[0, "status", "RUNNING: accepted", None, None]]
    for number in range(2):
        arbiter = len(lanes)
        lanes.append(lane("gunicorn: arbiter", "process", number))
        for worker in range(workers):
            process = len(lanes)
            lanes.append(lane(f"gunicorn: worker {worker}", "child", number, arbiter))
            lanes.append(lane(f"ThreadPoolExecutor-0_{worker}", "thread", number, process))
    for index in range(len(lanes)):
        for n in range(30):
            begin = n * SECOND + index * 1_000
            place = None if index % 3 else 0
            waits.append([begin, begin + SECOND, index, index % 2, place, 1, begin, "answer" if index % 2 else None])
    entries += [[n * SECOND, "log", f"GET /work?part={n} 200", n % len(lanes), None] for n in range(30)]
    signal = [20 * SECOND, "signal", "SIGTERM sent; the handler is called", None, None]
    entries.append([30 * SECOND, "status", "FINISHED", None, None])
    end = 30 * SECOND + 20_000
    both = [
        event(
            id=f"{number}c30dd12-0a0b-4c0d-8e0f-102030405060",
            function=("web", "worker")[number],
            instance=number,
            end=end,
            statuses=[[0, "RUNNING", 0, "accepted"], [end, "FINISHED", 200, "returned"]],
            waits=sorted((wait for wait in waits if lanes[wait[2]]["instance"] == number), key=lambda wait: wait[0]),
            entries=[*entries[:21], *[signal] * number, *entries[21:]],
            signals=[
                {
                    "sent": 20 * SECOND,
                    "disposition": "handler",
                    "text": "SIGTERM sent; the handler is called",
                    "entered": 20 * SECOND,
                    "left": 22 * SECOND,
                    "raised": None,
                    "waits": [[0, 3], [1, 4]],
                }
            ]
            if number
            else [],
        )
        for number in range(2)
    ]
    return trace(
        test="tests/test_web.py::test_workers",
        headline="web FINISHED after 30.02 s; worker FINISHED after 30.02 s",
        files=[source("app.py", "import time\ntime.sleep(1)\n")],
        texts=["sleep(1)", "accept()"],
        places=[["app.py", 2, 0, None]],
        lanes=lanes,
        instances=[
            instance(name=f"instance {number + 1} (pid {number + 20})", function=("web", "worker")[number])
            for number in range(2)
        ],
        events=both,
    )


def server() -> Trace:
    """The same with one worker each: all kinds of fields, and a third of the waits."""
    return servers(1)


def sweep() -> Trace:
    """Two causes, and two runs that differ."""
    return trace(
        test="tests/test_train.py::test_train_survives",
        outcome="failed",
        headline="train does not survive being killed: 4 of 34 interruptions fail, for 2 reasons",
        failure="AssertionError: train does not survive being killed",
        files=[source("train.py", TRAIN)],
        places=[["train.py", 11, 0, None], ["train.py", 12, 0, None]],
        lanes=[],
        instances=[],
        sweeps=[
            {
                "function": "train",
                "headline": "train does not survive being killed: 4 of 34 interruptions fail, for 2 reasons",
                "compared": "result; 1 file",
                "ignored": [],
                "not_tried": ["power loss"],
                "report": "train does not survive being killed:\n  4 of 34 interruptions fail\n",
                "points": 34,
                "runs": 34,
                "failed": 4,
                "seconds": 0.4,
                "heat": [{"file": 0, "lines": [[8, 4, 0], [9, 6, 0], [10, 6, 0], [11, 9, 3], [12, 9, 1]]}],
                "classes": [
                    {
                        "title": "NEVER FINISHES: killed while train.py:11 was writing ckpt.json",
                        "kinds": ["never finishes"],
                        "how": "forced",
                        "runs": 3,
                        "place": 0,
                        "explanation": "Path.write_text empties the file before filling it",
                        "survives": "Killed before open or after write, it survives.",
                        "effects": [
                            ["effect#1", "open ckpt.json", "0 bytes", 0],
                            ["effect#2", "write ckpt.json", "11 bytes", 0],
                        ],
                        "killed_after": 1,
                        "attempts": [
                            [
                                "FAILED (430) after 1 s",
                                "cold start",
                                "train.py:8  JSONDecodeError: Expecting value (char 0)",
                            ]
                        ]
                        * 5,
                        "differences": ["never finishes: 5 restarts, none FINISHED"],
                        "files": ["ckpt.json: 0 bytes"],
                        "timeline": "+0 s  status    RUNNING: accepted\n+0 s  status    ABORTED (499): terminated",
                        "fix": "write ckpt.json.new, then os.replace() it",
                        "replay": "pytest --scf-async-replay='forced@effect#2'",
                        "repro": "kept/test_train/repro.sh",
                        "repro_call": None,
                        "others": ["forced@effect#4", "forced@effect#6"],
                    },
                    {
                        "title": "LOST: stopped at train.py:12",
                        "kinds": ["lost"],
                        "how": "graceful",
                        "runs": 1,
                        "place": 1,
                        "explanation": None,
                        "survives": None,
                        "effects": [],
                        "killed_after": None,
                        "attempts": [["FINISHED after 2 s", "warm start", ""]],
                        "differences": ["lost: file ckpt.json"],
                        "files": [],
                        "timeline": "",
                        "fix": None,
                        "replay": "pytest --scf-async-replay='graceful@train.py:12#1'",
                        "repro": None,
                        "repro_call": "sweep.failures[1].write_repro(path)",
                        "others": [],
                    },
                ],
                "pairs": [
                    {
                        "key": "undisturbed",
                        "rows": [
                            ["open ckpt.json", "open ckpt.json"],
                            ["write 11 bytes", "write 12 bytes"],
                            ["close", "close"],
                            [None, "unlink"],
                        ],
                        "difference": "The first difference: “write 11 bytes” in the first run is “write 12 bytes” in "
                        "the second.",
                    }
                ],
            }
        ],
    )


def many(waits: int) -> Trace:
    """An event that polls: *waits* waits in two threads, and a line of the log for each tenth."""
    end = waits * SECOND // 2
    begins = [n // 2 * SECOND + n % 2 * SECOND // 2 for n in range(waits)]
    rows = [[begin, begin + SECOND, n % 2, n % 2, n % 2, 1, begin, None] for n, begin in enumerate(begins)]
    entries = [[n * SECOND, "log", f"polled {n} times", 0, None] for n in range(0, waits // 2, 10)]
    return trace(
        test="tests/test_poll.py::test_polling",
        headline=f"poll FINISHED after {waits // 2:,} s",
        files=[source("poll.py", "import time\n\nwhile True:\n    time.sleep(1)\n    ready.wait(1)\n")],
        texts=["sleep(1)", "Event.wait(1)"],
        places=[["poll.py", 4, 0, None], ["poll.py", 5, 0, None]],
        lanes=[lane("main", "main"), lane("Thread-1", "thread")],
        instances=[instance(function="poll")],
        events=[
            event(
                function="poll",
                end=end,
                statuses=[[0, "RUNNING", 0, "accepted"], [end, "FINISHED", 200, "returned"]],
                waits=rows,
                entries=[
                    [0, "status", "RUNNING: accepted", None, None],
                    *entries,
                    [end, "status", "FINISHED", None, None],
                ],
            )
        ],
    )


def browsers() -> list[str]:
    """The commands of Chromium that this machine has."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return [path for path in map(shutil.which, names) if path]
