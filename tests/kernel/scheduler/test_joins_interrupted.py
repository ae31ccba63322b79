"""``Thread.join`` that an exception of a signal's handler ends leaves what it leaves on this Python without us.

The same program runs in a plain interpreter, in real time, and as a handler. Before Python 3.13 the thread counts as
stopped from then on, though it runs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from process_support import LONG, user_lines

pytestmark = pytest.mark.interpreter

PROGRAM = """
import atexit, linecache, signal, sys, threading, time

SIMULATED = __name__ != "__main__"

class Stop(Exception):
    pass

def is_in_wait(frame):
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    return any(call in line for call in (".acquire(", "_handle.join(", "_thread_shutdown()"))

def alarm(act):
    '''Have *act* done by a signal's handler while the main thread waits for another one; never, where it does not.'''
    def handler(signum, frame):
        if SIMULATED or (frame is not None and is_in_wait(frame)):  # there is none between two calls of C code
            signal.setitimer(signal.ITIMER_REAL, 0)
            act()
        else:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 1)
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 1)  # one that comes right before the wait begins does not end it

def stop():
    raise Stop

def started(daemon=False):
    go, done = threading.Event(), []
    def work():
        go.wait()
        done.append("worker")
        print("the worker is done", flush=True)
    thread = threading.Thread(target=work, daemon=daemon)
    thread.start()
    return thread, go, done

def interrupted(timeout, daemon=False):
    thread, go, done = started(daemon)
    alarm(stop)
    try:
        thread.join(timeout)
    except Stop:
        return thread, go, done
    raise AssertionError("join was not interrupted")

def let_end(thread, go):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    go.set()
    while thread in threading.enumerate():
        time.sleep(0.001)

def main_handler(event, context):
    for timeout in (None, 1000):
        thread, go, done = interrupted(timeout)
        print("alive:", thread.is_alive(), "stopped:", "stopped" in repr(thread))
        print("listed:", thread in threading.enumerate())
        alarm(go.set)
        thread.join()
        print("the next join ended with:", done)
        let_end(thread, go)
        thread.join()
        print("at the end alive:", thread.is_alive(), "done:", done)

if __name__ == "__main__":
    main_handler(None, None)
"""

AT_EXIT = PROGRAM.partition("def main_handler")[0] + (
    """
def main_handler(event, context):
    thread, go, done = interrupted(None)
    atexit.register(signal.signal, signal.SIGALRM, signal.SIG_IGN)  # at the end Python lets it kill the process
    alarm(go.set)
    sys.exit()

if __name__ == "__main__":
    main_handler(None, None)
"""
)


@pytest.mark.parametrize("program", [PROGRAM, AT_EXIT], ids=["join", "sys.exit"])
def test_what_an_interrupted_join_leaves_is_what_this_python_leaves(deploy, tmp_path: Path, program: str) -> None:
    script = tmp_path / "plain.py"
    script.write_text(program)
    plain = subprocess.run(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=True, timeout=LONG
    ).stdout.splitlines()
    event = deploy(program).invoke_async()

    event.wait()

    assert user_lines(event) == plain


def test_the_end_of_the_process_waits_for_a_thread_whose_join_was_not_interrupted(deploy) -> None:
    event = deploy(AT_EXIT.replace("interrupted(None)", "started()")).invoke_async()

    event.wait()

    assert user_lines(event) == ["the worker is done"]
