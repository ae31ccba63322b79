"""Repairs of what the seeded set does not have: power failures, locks in a listener, flags that stay set."""

from __future__ import annotations

from typing import Any

import pytest
from sweeping import Deploy, each_run

from pytest_scf_async import ScfRuntime, power

# once: a template's text is the same on all Pythons
pytestmark = [pytest.mark.once, pytest.mark.usefixtures("without_second_stops")]

RENAMED = """
    import os
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        for number in range(2):
            page = out / f"page-{number}"
            if not page.exists():
                (out / "new").write_text("a page")
                os.replace(out / "new", page)
        return "done"
    """
DONE_FIRST = """
    import os

    def main_handler(event, context):
        page = os.path.join(os.environ["OUT"], "pages", "page")
        done = os.open(os.path.join(os.environ["OUT"], "done"), os.O_RDWR | os.O_CREAT)
        out = os.open(os.environ["OUT"], os.O_RDONLY)
        os.makedirs(os.path.dirname(page), exist_ok=True)
        os.fsync(out)
        if not os.read(done, 1):
            with open(page + ".part", "w") as file:
                file.write("a page")
                file.flush()
                os.fsync(file.fileno())
            os.replace(page + ".part", page)
            os.write(done, b"1")
            os.fsync(done)
        return "done"
    """
IN_PLACE = """
    import os
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        for number in range(2):
            page = out / f"page-{number}"
            if not page.exists():
                page.write_text("a page")
        return "done"
    """
LOCKED = """
    import os
    import signal
    import sys
    import threading
    import time
    from pathlib import Path

    lock = threading.Lock()

    def save(number):
        with lock:
            time.sleep(1)
            Path(os.environ["OUT"], f"{number}.txt").write_text("a row")

    def stop(number, frame):
        with lock:
            print("stops")
        sys.exit(1)

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, stop)
        for number in range(2):
            save(number)
        return "done"
    """
STAYS = """
    import os
    import signal
    import time
    from pathlib import Path

    stopping = False

    def stop(number, frame):
        global stopping
        stopping = True

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, stop)
        for number in range(2):
            if stopping:
                return "stopped"
            time.sleep(1)
            Path(os.environ["OUT"], f"{number}.txt").write_text("a row")
        return "done"
    """
LOCK_FILE = """
    import os
    from pathlib import Path

    def main_handler(event, context):
        lock = Path(os.environ["OUT"], "lock")
        if lock.exists():
            return "busy"
        lock.write_text(str(os.getpid()))
        try:
            Path(os.environ["OUT"], "row").write_text("a row")
        finally:
            lock.unlink()
        return "done"
    """
FILLS = """
    import os
    import signal
    import time
    from pathlib import Path

    rows = []
    state = {"stops": False}

    def stop(number, frame):
        state["stops"] = True

    def main_handler(event, context):
        state["stops"] = False
        signal.signal(signal.SIGTERM, stop)
        for number in range(2):
            if state["stops"]:
                return "stopped"
            time.sleep(1)
            rows.append(f"row {number}\\n")
        new = Path(os.environ["OUT"], "rows.new")
        new.write_text("".join(rows))
        new.replace(new.with_suffix(""))
        return "done"
    """
SAVES = """
    import os
    import signal
    import sys
    import time
    from pathlib import Path

    state = [0, 0]

    def save():
        new = Path(os.environ["OUT"], "state.new")
        new.write_text(" ".join(map(str, state)))
        new.replace(new.with_suffix(""))

    def stop(number, frame):
        save()
        sys.exit(1)

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, stop)
        saved = Path(os.environ["OUT"], "state")
        state[:] = map(int, saved.read_text().split()) if saved.exists() else (0, 0)
        while state[0] < 2:
            state[1] += 10
            time.sleep(1)
            state[0] += 1
        save()
        return state
    """


def repaired(runtime: ScfRuntime, deployed: Deploy, source: str, how: Any, **keywords: Any) -> str:
    """The kind of the first repair, and its diff without what is around it."""
    repairs = runtime.sweep(deployed(source), each_run=each_run, how=how, **keywords).repairs(budget=120)
    assert repairs.found, repairs.report
    repair = repairs.found[0]
    lines = [line for line in repair.diff.splitlines()[2:] if line[:1] in "+-"]
    return "\n".join([repair.kind, *lines])


def test_a_file_is_synced_where_the_power_fails(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    text = repaired(scf_runtime, deployed, RENAMED, [power("posix")])
    assert text == (
        "sync before the rename\n"
        '+            with open(out / "new", "rb") as synced:\n'
        "+                os.fsync(synced.fileno())"
    )


def test_so_is_the_directory_of_its_new_name(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    text = repaired(scf_runtime, deployed, DONE_FIRST, [power("posix")])
    assert text.splitlines()[-3:] == [
        '+        directory = os.open(os.path.dirname(page) or ".", os.O_RDONLY)',
        "+        os.fsync(directory)",
        "+        os.close(directory)",
    ]


@pytest.mark.parametrize("how", ["forced", "power"])
def test_a_new_file_is_synced_only_where_power_was_asked_for(
    scf_runtime: ScfRuntime, deployed: Deploy, how: str
) -> None:
    hows = ["forced", power("posix")] if how == "power" else ["forced"]
    text = repaired(scf_runtime, deployed, IN_PLACE, hows)
    assert text.startswith("write a new file and replace it\n")
    assert ("fsync" in text) == (how == "power")


def test_a_listener_takes_no_lock_that_the_code_holds(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    text = repaired(scf_runtime, deployed, LOCKED, "graceful")
    assert text == "RLock in place of Lock\n-lock = threading.Lock()\n+lock = threading.RLock()"


def test_a_flag_is_reset_when_an_event_begins(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    text = repaired(scf_runtime, deployed, STAYS, "graceful", attempts=2)
    assert text == "reset the flag\n+    global stopping\n+    stopping = False"


def test_a_dead_owner_holds_no_lock(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    text = repaired(scf_runtime, deployed, LOCK_FILE, "forced")
    assert text.splitlines() == [
        "the kernel's lock in place of a lock file",
        "+import fcntl",
        "-    if lock.exists():",
        '+    held = open(lock, "a")',
        "+    try:",
        "+        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "+    except OSError:",
    ]


def test_a_list_of_the_module_is_empty_when_an_event_begins(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(FILLS), each_run=each_run, how="graceful")
    repair = sweep.repairs(budget=120, exactly_once=True).found[0]
    assert repair.kind == "empty what the last event has filled"
    assert "\n+    rows.clear()\n" in repair.diff
    assert repair.doubled == 0


def test_a_listener_leaves_it_to_the_loop_to_save(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(SAVES), each_run=each_run, how=("graceful", "forced"))
    found = {repair.kind: repair.diff for repair in sweep.repairs(budget=120).found}
    lines = found["save in the loop, not in the listener"].splitlines()
    assert "+            save()" in lines
    assert "-    save()" in lines
