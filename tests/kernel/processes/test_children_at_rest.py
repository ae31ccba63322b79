"""A child that waits for its parent does not hold the clock; one that works does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

IMPORTS = """
import asyncio, os, pty, select, socket, subprocess, sys, tempfile, time
BEGAN = time.time()
LOCK = os.path.join(tempfile.mkdtemp(), "lock")
def passed():
    return round(time.time() - BEGAN, 3)
"""

CO_PROCESSES = {
    "cat": """
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    write, read = child.stdin.write, child.stdout.readline""",
    "a program that takes its time": """
    code = "for line in iter(input, 'end'): import time; time.sleep(0.3); print(line, flush=True)"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    write, read = child.stdin.write, child.stdout.readline""",
    "a pipeline": """
    child = subprocess.Popen(
        ["sh", "-c", "cat | cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    write, read = child.stdin.write, child.stdout.readline""",
    "a pair of sockets": """
    here, there = socket.socketpair()
    child = subprocess.Popen(["cat"], stdin=there, stdout=there)
    there.close()
    file = here.makefile("rw", buffering=1)
    write, read = file.write, file.readline""",
    "a terminal": """
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", "stty -echo -onlcr; echo ready; exec cat"])
    file = os.fdopen(fd, "rb+", 0)
    lines = b""
    while b"ready" not in lines:
        lines += os.read(fd, 100)
    def write(line):
        os.write(fd, line.encode())
    def read():
        text = b""
        while not text.endswith(b"\\n"):
            text += os.read(fd, 100)
        return text.decode()""",
}


@pytest.mark.parametrize("kind", CO_PROCESSES)
def test_a_co_process_holds_the_clock_only_while_it_works(deploy, kind: str) -> None:
    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    {CO_PROCESSES[kind].strip()}
    said = []
    for word in ("one", "two"):
        write(word + chr(10))
        said.append([read().strip(), passed()])
        time.sleep(60)
    return [said, passed()]
"""
    ).invoke_async()

    assert event.wait().result == [[["one", 0], ["two", 60]], 120]


def test_what_it_has_written_is_read_before_time_moves(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
async def main():
    child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    said = []
    for word in (b"one\\n", b"two\\n"):
        child.stdin.write(word)
        said.append([(await asyncio.wait_for(child.stdout.readline(), 3600)).decode().strip(), passed()])
        await asyncio.sleep(60)
    child.stdin.close()
    await child.wait()
    return [said, passed()]

def main_handler(event, context):
    return asyncio.run(main())
"""
    ).invoke_async()

    assert event.wait().result == [[["one", 0], ["two", 60]], 120]


def test_a_child_with_a_timer_of_its_own_is_not_at_rest(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
import signal

CODE = '''
import ctypes, sys
libc, timer = ctypes.CDLL(None), ctypes.c_void_p()
assert libc.timer_create(0, None, ctypes.byref(timer)) == 0
assert libc.timer_settime(timer, 0, (ctypes.c_long * 4)(0, 0, 0, 300_000_000), None) == 0
sys.stdin.read()
'''

def main_handler(event, context):
    child = subprocess.Popen([sys.executable, "-c", CODE], stdin=subprocess.PIPE)
    time.sleep(60)
    return child.poll() == -signal.SIGALRM
"""
    ).invoke_async()

    assert event.wait().result is True


def test_a_lock_that_another_thread_holds_is_waited_for(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
import fcntl, threading

def locked(seconds):
    with open(LOCK, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        time.sleep(seconds)

def main_handler(event, context):
    thread = threading.Thread(target=locked, args=[300])
    thread.start()
    time.sleep(1)
    locked(0)
    return passed()
""",
        timeout=600,
    ).invoke_async()

    assert event.wait().result == 300


@pytest.mark.parametrize("by", ["flock", "lockf"])
def test_a_lock_that_a_child_holds_is_waited_for(deploy, by: str) -> None:
    event = deploy(
        IMPORTS
        + f"""
import fcntl, threading

CODE = '''
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.{by}(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
'''

def main_handler(event, context):
    command = [sys.executable, "-c", CODE, LOCK]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    threading.Timer(300, child.stdin.close).start()
    with open(LOCK, "w") as file:
        fcntl.{by}(file, fcntl.LOCK_EX)
    child.wait()
    return passed()
""",
        timeout=600,
    ).invoke_async()

    assert event.wait().result == 300


def test_an_event_that_waits_for_a_lock_of_its_own_reaches_its_timeout(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
import fcntl

def main_handler(event, context):
    with open(LOCK, "w") as mine, open(LOCK, "w") as other:
        fcntl.flock(mine, fcntl.LOCK_EX)
        fcntl.flock(other, fcntl.LOCK_EX)
""",
        timeout=60,
    ).invoke_async()

    assert event.wait().status_code == 433
    assert event.duration == timedelta(seconds=60)


TERMINALS = {
    "a program that answers lines": (
        '"stty -echo; echo ready; while read word; do echo got $word; done"',
        "w%d\\n",
        "got w%d",
    ),
    "the terminal's own echo of half a line": ('"echo ready; exec cat"', "w%d.", "w%d."),
}

ROUNDS = int(os.environ.get("SCF_RUNS", "150"))
"""How many answers of a child are waited for, each beside computing on every core; SCF_RUNS=1000 makes more."""


@pytest.fixture
def busy_cores() -> Iterator[None]:
    """Three loops that compute on each core: what a worker of the kernel delivers comes late."""
    loop = [sys.executable, "-S", "-c", "while True: pass"]
    loops = [subprocess.Popen(loop) for _ in range(3 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for each in loops:
            each.kill()
            each.wait()


@pytest.mark.once  # it is the kernel that delivers
@pytest.mark.usefixtures("busy_cores")
@pytest.mark.parametrize("kind", TERMINALS)
@pytest.mark.parametrize("children", ["real", "simulated"])
def test_time_waits_for_what_a_terminal_delivers(deploy, children: str, kind: str) -> None:
    command, written, expected = TERMINALS[kind]
    source = f"""
import os, pty, select, signal, time

ROUNDS = {ROUNDS}

def main_handler(event, context):
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("sh", ["sh", "-c", {command}])
    seen, late = b"", []

    def expect(text):
        nonlocal seen
        while text not in seen:
            if not select.select([terminal], [], [], 30)[0]:
                late.append(text.decode())
                return
            seen += os.read(terminal, 1000)
        seen = b""

    expect(b"ready")
    for number in range(ROUNDS):
        os.write(terminal, b"{written}" % number)
        expect(b"{expected}" % number)
        time.sleep(1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return late
"""
    event = deploy(source, children=children, timeout=86_400).invoke_async()

    assert event.wait().result == []
