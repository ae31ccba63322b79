"""A call in which the main thread may wait in C for a child is one row, whether the child was quick or not."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.interpreter

CHILD = """
import os, sys

def state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]

def works(parent, waits):
    while waits and state(parent) != "S":
        pass

if __name__ == "__main__":
    works(os.getppid(), sys.argv[1] == "waits")
    print(sys.argv[2])
"""
HANDLER = """
import multiprocessing, os, subprocess, sys, time
from child import state, works
multiprocess = multiprocessing.get_context("fork")

def main_handler(event, context):
    waits, parent = event == "waits", os.getpid()

    def quick(pid):  # so that it has ended before the call, where it is not to wait
        while not waits and state(pid) != "Z":
            pass

    def forked(act=lambda: None):
        pid = os.fork()
        if pid == 0:
            works(parent, waits)
            act()
            os._exit(3)
        quick(pid)
        return pid

    def started(**options):
        program = os.path.join(os.path.dirname(__file__), "child.py")
        child = subprocess.Popen([sys.executable, "-I", program, event, "a line"], **options)
        quick(child.pid)
        return child

    def process(target=works, args=(parent, waits)):
        child = multiprocess.Process(target=target, args=args)
        child.start()
        if target is works:
            quick(child.pid)
        return child

    {before}
    print("before", flush=True)
    {call}
    print("after", flush=True)
    time.sleep(5)
"""
PIPED = "child = started(stdout=subprocess.PIPE)"
CALLS = {
    "os.wait": ("forked()", "os.wait()"),
    "os.wait3": ("forked()", "os.wait3(0)"),
    "os.wait4": ("pid = forked()", "os.wait4(pid, 0)"),
    "os.waitid": ("pid = forked()", "os.waitid(os.P_PID, pid, os.WEXITED)"),
    "os.waitpid": ("pid = forked()", "os.waitpid(pid, 0)"),
    "os.system": ("", "os.system('exit 3')"),
    "subprocess.wait": ("child = started()", "child.wait()"),
    "subprocess.wait#60": ("child = started()", "child.wait(60)"),
    "subprocess.__exit__": (PIPED, "child.__exit__(None, None, None)"),
    "subprocess.run": ("", "subprocess.run(['sh', '-c', 'echo a line'], stdout=subprocess.PIPE)"),
    "subprocess.run#two": ("", "subprocess.run(['sh', '-c', 'echo a line'], capture_output=True)"),
    "subprocess.communicate": (PIPED, "child.communicate()"),
    "read": ("r, w = os.pipe(); forked(lambda: os.write(w, b'a line'))", "os.read(r, 10)"),
    "read#readv": ("r, w = os.pipe(); forked(lambda: os.write(w, b'a line'))", "os.readv(r, [bytearray(10)])"),
    "read#pipe": (PIPED, "child.stdout.read()"),
    "readline": (PIPED, "[line for line in child.stdout]"),
    "readline#text": ("child = started(stdout=subprocess.PIPE, text=True)", "child.stdout.readline()"),
    "readline#unbuffered": ("child = started(stdout=subprocess.PIPE, bufsize=0)", "child.stdout.readline()"),
    "multiprocessing.process.join": ("child = process()", "child.join()"),
    "multiprocessing.process.join#60": ("child = process()", "child.join(60)"),
    "multiprocessing.connection.recv": (
        "r, w = multiprocess.Pipe(); process(lambda: (works(parent, waits), w.send(1)), ())",
        "r.recv()",
    ),
    "multiprocessing.queues.get": (
        "queue = multiprocess.SimpleQueue(); process(lambda: (works(parent, waits), queue.put(1)), ())",
        "queue.get()",
    ),
    "acquire": (
        "lock = multiprocess.Semaphore(0); process(lambda: (works(parent, waits), lock.release()), ())",
        "lock.acquire()",
    ),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("child", ["quick", "waits"])
def test_it_is_a_row_with_the_users_line(runtime, tmp_path, name, child):
    before, call = CALLS[name]
    source = HANDLER.format(before=before, call=call)
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "index.py").write_text(source)
    event = runtime.deploy(f"{tmp_path}/index.py:main_handler").invoke_async(child).wait()

    between = re.search(r"log +before\n(.*)\n.*log +after\n", event.timeline, re.DOTALL)
    assert between is not None, event.timeline
    (row,) = re.findall(r"\+0 s +wait +(.*)", between[1])
    assert row == f"{name.partition('#')[0]} at index.py:{source.splitlines().index(f'    {call}') + 1}"
