"""A handler that waits where the stack has almost no room: the wait is whole, or raises and has changed nothing."""

from __future__ import annotations

import pytest

# interpreter: what counts as a level of the stack differs between Pythons
pytestmark = pytest.mark.interpreter

WAITS = """
import queue, threading, time

def wait_for_item():
    try:
        queue.Queue().get(timeout=1)
    except queue.Empty:
        pass

WAITS = {
    "sleep": lambda: time.sleep(1),
    "event": lambda: threading.Event().wait(1),
    "queue": wait_for_item,
}

def room():
    levels = 0
    def deeper():
        nonlocal levels
        levels += 1
        deeper()
    try:
        deeper()
    except RecursionError:
        return levels

def at_depth(levels, call):
    return at_depth(levels - 1, call) if levels else call()

def beside(stop):
    while not stop:
        time.sleep(0.25)

def main_handler(event, context):
    # The first call of each part of ours is made here, and not where it has no room.
    WAITS[event["wait"]]()
    stop, found, most = [], [], room()
    other = threading.Thread(target=beside, args=(stop,))
    if event["beside"]:
        other.start()
        time.sleep(0.125)
    for left in range(60):
        before = time.time()
        try:
            at_depth(most - left, WAITS[event["wait"]])
        except RecursionError:
            found.append(("raised", round(time.time() - before, 3)))
        else:
            found.append(("waited", round(time.time() - before, 3)))
    stop.append(True)
    if event["beside"]:
        other.join()
    return found
"""


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a thread"])
@pytest.mark.parametrize("wait", ["sleep", "event", "queue"])
def test_a_wait_where_the_stack_is_almost_full_is_whole_or_raises_and_nothing_has_changed(deploy, wait, beside):
    found = [tuple(each) for each in deploy(WAITS).run({"wait": wait, "beside": beside})]

    assert set(found) == {("raised", 0), ("waited", 1)}
    assert found == sorted(found), "with more room it waits"
