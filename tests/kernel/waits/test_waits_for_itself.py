"""A thread waits in C, and only its own process or its children can end the wait: it does not hold the clock."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.leases

IMPORTS = """
import ctypes, multiprocessing, os, queue, subprocess, sys, threading, time
BEGAN = time.time()
def passed():
    return round(time.time() - BEGAN, 3)
def double(value):
    return 2 * value
def in_a_thread(target, *args):
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread
"""

READS = {
    "for line in a file": "for line in os.fdopen(ours): received(line.strip())",
    "readline": """
        file = os.fdopen(ours)
        while line := file.readline():
            received(line.strip())""",
    "read of a raw file": """
        file = os.fdopen(ours, "rb", buffering=0)
        while data := file.read(100):
            received(data.decode().strip())""",
    "readinto": """
        file, room = os.fdopen(ours, "rb"), bytearray(4)
        while (length := file.readinto1(room)):
            received(room[:length].decode().strip())""",
    "sys.stdin": """
        os.dup2(ours, 0)
        for line in sys.stdin:
            received(line.strip())""",
}


@pytest.mark.repeat
@pytest.mark.parametrize("read", READS)
def test_a_read_in_c_of_a_pipe_of_its_own(deploy, read: str) -> None:
    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    ours, theirs = os.pipe()
    said = []
    def received(text):
        said.append([text, passed()])
    def reads():
        {READS[read].strip()}
    thread = in_a_thread(reads)
    for word in ("one", "two"):
        time.sleep(60)
        os.write(theirs, word.encode() + b"\\n")
    time.sleep(60)
    os.close(theirs)
    thread.join()
    return [said, passed()]
"""
    ).invoke_async()

    assert event.wait().result == [[["one", 60], ["two", 120]], 180]


@pytest.mark.repeat
def test_what_such_a_thread_wakes_goes_on_at_once(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    ours, theirs = os.pipe()
    items = queue.Queue()
    in_a_thread(lambda: [items.put(line.strip()) for line in os.fdopen(ours)])
    said = []
    for number in range(5):
        time.sleep(60)
        os.write(theirs, b"%d\\n" % number)
        said.append([items.get(timeout=3600), passed()])
    return said
"""
    ).invoke_async()

    assert event.wait().result == [[str(number), 60 * (number + 1)] for number in range(5)]


def test_select_on_a_pipe_into_which_such_a_thread_writes(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
import select

def main_handler(event, context):
    (ours, theirs), (back, forth) = os.pipe(), os.pipe()
    in_a_thread(lambda: [os.write(forth, line) for line in os.fdopen(ours, "rb")])
    said = []
    for number in range(5):
        time.sleep(60)
        os.write(theirs, b"%d\\n" % number)
        select.select([back], [], [], 3600)
        said.append([os.read(back, 10).decode().strip(), passed()])
    return said
"""
    ).invoke_async()

    assert event.wait().result == [[str(number), 60 * (number + 1)] for number in range(5)]


def test_two_threads_share_a_lock_of_multiprocessing(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    lock = multiprocessing.Lock()
    said = []
    def waits():
        with lock:
            said.append(passed())
            time.sleep(60)
    with lock:
        thread = in_a_thread(waits)
        time.sleep(60)
    thread.join()
    return [said, passed()]
"""
    ).invoke_async()

    assert event.wait().result == [[60], 120]


LOCKED_TWICE = """
    lock = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(lock)
"""


@pytest.mark.parametrize("where", ["the main thread", "another one"])
def test_what_nothing_can_end_any_more_times_out(deploy, where: str) -> None:
    event = deploy(
        IMPORTS
        + f"""
def waits():
    {LOCKED_TWICE.strip()}

def main_handler(event, context):
    waits() if event == "the main thread" else in_a_thread(waits).join()
""",
        timeout=600,
    ).invoke_async(where)

    assert event.settle().doing == "parked"
    event.wait()
    assert (event.status_code, event.duration.total_seconds()) == (433, 600)


METHODS = ["fork", "spawn", "forkserver"]


@pytest.mark.repeat
@pytest.mark.parametrize("method", METHODS)
def test_an_idle_pool(deploy, method: str) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    said = []
    with multiprocessing.get_context(event).Pool(2) as pool:
        for number in range(3):
            said.append([pool.map(double, [number]), passed()])
            time.sleep(60)
        pool.close()
        pool.join()
    return [said, passed()]
"""
    ).invoke_async(method)

    assert event.wait().result == [[[[0], 0], [[2], 60], [[4], 120]], 180]


@pytest.mark.parametrize("method", METHODS)
def test_an_idle_executor_of_processes(deploy, method: str) -> None:
    event = deploy(
        IMPORTS
        + """
from concurrent.futures import ProcessPoolExecutor

def main_handler(event, context):
    said = []
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(event)) as pool:
        for number in range(3):
            said.append([pool.submit(double, number).result(), passed()])
            time.sleep(60)
    return [said, passed()]
"""
    ).invoke_async(method)

    assert event.wait().result == [[[0, 0], [2, 60], [4, 120]], 180]


def test_a_thread_reads_what_a_co_process_writes(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    said = []
    thread = in_a_thread(lambda: [said.append([line.strip(), passed()]) for line in child.stdout])
    for word in ("one", "two"):
        time.sleep(60)
        child.stdin.write(word + "\\n")
    time.sleep(60)
    child.stdin.close()
    thread.join()
    return [said, child.wait(), passed()]
"""
    ).invoke_async()

    assert event.wait().result == [[["one", 60], ["two", 120]], 0, 180]


DAEMONS = {
    "idle": "echo ready; sleep 1000",
    "prints now and then": "echo ready; while sleep 1; do echo x; done",
}


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize("waits", ["for line in child.stdout: said.append(line)", "child.wait()"])
def test_a_daemon_in_the_background_with_a_thread_of_its_own(deploy, tmp_path, daemon: str, waits: str) -> None:
    path = tmp_path / "my-daemon"
    path.write_text(f"#!/bin/sh\n{DAEMONS[daemon]}\n")
    path.chmod(0o755)
    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    child = subprocess.Popen([event], stdout=subprocess.PIPE, text=True)
    said = [child.stdout.readline()]  # the main thread waits for it
    at = passed()
    def waits():
        {waits}
    in_a_thread(waits)
    for _ in range(100):
        time.sleep(60)
    return [said[0].strip(), at, passed()]
""",
        background=("my-daemon",),
    ).invoke_async(str(path))

    assert event.wait().result == ["ready", 0, 6000]
