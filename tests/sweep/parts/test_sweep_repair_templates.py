"""Templates of repairs: the text that each makes of a source, and where one makes no change."""

from __future__ import annotations

import ast
import difflib
import textwrap
from pathlib import Path
from typing import Any, cast

import pytest
from sweep_internals import line_point

from pytest_scf_async.sweep.differences import Difference, Kind
from pytest_scf_async.sweep.effects import EffectKind
from pytest_scf_async.sweep.findings import FailureClass, SweepRun
from pytest_scf_async.sweep.repairs.templates import Change, changes

# once: a source and its tree; no process
pytestmark = pytest.mark.once

SEEDED = (Path(__file__).parents[1] / "seeded").rglob("*.py")
HANDLERS = sorted((path for path in SEEDED if not path.stem.endswith("_fixed")), key=lambda path: path.stem)


def blaming(source: str, *marked: str, how: str = "forced", kind: Kind = Kind.LOST) -> list[FailureClass]:
    """Findings that blame each line of *source* that has one of the *marked* texts in it."""
    numbers = [number for number, line in enumerate(source.split("\n"), 1) if any(mark in line for mark in marked)]
    assert numbers
    wrong = (Difference(kind, EffectKind.FILE, "state"),)
    runs = tuple(SweepRun(line_point("job.py", number), how, wrong, cast("Any", None)) for number in numbers)
    return [FailureClass(runs)]


def made(before: str, *marked: str, how: str = "forced", kind: Kind = Kind.LOST) -> list[Change]:
    source = textwrap.dedent(before).lstrip("\n")
    return list(changes(source, "job.py", blaming(source, *marked, how=how, kind=kind)))


def of_kind(kind: str, found: list[Change]) -> list[str]:
    return [change.source for change in found if change.kind == kind]


def makes(kind: str, before: str, after: str, *marked: str, how: str = "forced", wrong: Kind = Kind.LOST) -> None:
    """One of the changes of that *kind* makes *after* of *before*."""
    texts = of_kind(kind, made(before, *marked, how=how, kind=wrong))
    expected = textwrap.dedent(after).lstrip("\n")
    assert expected in texts, "\n----\n".join(texts)


NEW = "write a new file and replace it"
IN_PLACE = {
    "a text of pathlib": (
        """
        import os

        def main_handler(event, context):
            state.write_text("1")  # the state
        """,
        """
        import os

        def main_handler(event, context):
            new = state.with_name(f"{state.name}.new")
            new.write_text("1")  # the state
            os.replace(new, state)
        """,
    ),
    "a path that is no name": (
        """
        import os

        size = (out / "state").write_bytes(b"1")
        """,
        """
        import os

        target = out / "state"
        new = target.with_name(f"{target.name}.new")
        size = new.write_bytes(b"1")
        os.replace(new, target)
        """,
    ),
    "open in a with": (
        """
        with open(path, "w") as file:
            for row in rows:
                file.write(row)  # state

        print("done")
        """,
        """
        import os


        new = f"{path}.new"
        with open(new, "w") as file:
            for row in rows:
                file.write(row)  # state
        os.replace(new, path)

        print("done")
        """,
    ),
    "open of a path, which is closed later": (
        """
        import json
        import sys

        file = path.open(mode="wb")
        file.write(state)
        file.close()
        """,
        """
        import json
        import os
        import sys

        new = path.with_name(f"{path.name}.new")
        file = new.open(mode="wb")
        file.write(state)
        os.replace(new, path)
        """.replace("file.write(state)\n", "file.write(state)\n        file.close()\n"),
    ),
    "open as an argument": (
        """
        import os
        json.dump(state, open(path, "w"))  # noqa: SIM115
        """,
        """
        import os
        new = f"{path}.new"
        with open(new, "w") as file:
            json.dump(state, file)  # noqa: SIM115
        os.replace(new, path)
        """,
    ),
    "numpy, which adds an ending": (
        """
        import os
        path = Path("state.npy")
        numpy.save(path, state)
        """,
        """
        import os
        path = Path("state.npy")
        new = path.with_name(f"{path.name}.new.npy")
        numpy.save(new, state)
        os.replace(new, path)
        """,
    ),
    "a tree": (
        """
        import os
        shutil.copytree(template, state)
        """,
        """
        import os
        new = f"{state}.new"
        shutil.copytree(template, new, dirs_exist_ok=True)
        os.replace(new, state)
        """,
    ),
    "what was removed before": (
        """
        import os
        if state.exists():
            state.unlink()
        state.write_text("1")
        """,
        """
        import os
        new = state.with_name(f"{state.name}.new")
        new.write_text("1")
        os.replace(new, state)
        """,
    ),
    "a link": (
        """
        import os
        state.unlink(missing_ok=True)
        state.symlink_to("1")
        """,
        """
        import os
        new = state.with_name(f"{state.name}.new")
        new.unlink(missing_ok=True)
        new.symlink_to("1")
        os.replace(new, state)
        """,
    ),
    "tabs, an async handler and names that are taken": (
        """
        import os

        async def main_handler(event, context):
        \tnew = 1
        \tstate.write_text(
        \t\t"1",
        \t)
        """,
        """
        import os

        async def main_handler(event, context):
        \tnew = 1
        \tnew_file = state.with_name(f"{state.name}.new")
        \tnew_file.write_text(
        \t\t"1",
        \t)
        \tos.replace(new_file, state)
        """,
    ),
    "a first import behind a docstring": (
        '''
        """Handles."""

        state.write_text("1")
        ''',
        '''
        """Handles."""

        import os

        new = state.with_name(f"{state.name}.new")
        state
        '''.replace("state\n        ", 'new.write_text("1")\n        os.replace(new, state)\n        '),
    ),
}


@pytest.mark.parametrize(("before", "after"), IN_PLACE.values(), ids=[*IN_PLACE])
def test_a_file_gets_its_name_when_it_is_complete(before: str, after: str) -> None:
    makes(NEW, before, after, "state", "path")


CASES = {
    "a copy of an archive": (
        "change a copy and replace it",
        ("archive",),
        """
        import os
        import shutil

        path = Path("state.zip")
        archive = zipfile.ZipFile(path, "a")
        archive.writestr("1", "1")
        archive.close()
        """,
        """
        import os
        import shutil

        path = Path("state.zip")
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        if path.exists():
            shutil.copyfile(path, new)
        archive = zipfile.ZipFile(new, "a")
        archive.writestr("1", "1")
        archive.close()
        os.replace(new, path)
        """,
    ),
    "a backup is a copy": (
        "copy in place of a move",
        ("move",),
        """
        import os
        import shutil

        shutil.move(state, backup)
        os.replace(new, state)
        """,
        """
        import os
        import shutil

        shutil.copyfile(state, backup)
        os.replace(new, state)
        """,
    ),
    "several lines": (
        "one write in place of several",
        ("writelines",),
        """
        file.writelines([head, body])
        """,
        """
        file.write("".join([head, body]))
        """,
    ),
    "a buffer": (
        "flush what is written",
        ("write",),
        """
        for row in rows:
            file.write(row)
            position += 1
        """,
        """
        for row in rows:
            file.write(row)
            file.flush()
            position += 1
        """,
    ),
    "directories": (
        "make the directories that are missing",
        ("makedirs",),
        """
        if not home.exists():
            # with its inbox
            os.makedirs(home / "inbox")  # (all)
        put(home)
        """,
        """
        # with its inbox
        os.makedirs(home / "inbox", exist_ok=True)  # (all)
        put(home)
        """,
    ),
    "a lock file": (
        "the kernel's lock in place of a lock file",
        ("lock",),
        """
        import fcntl
        import os

        lock = os.open(path, os.O_CREAT | os.O_EXCL)
        """,
        """
        import fcntl
        import os

        lock = os.open(path, os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        """,
    ),
    "a file in /tmp": (
        "keep it where the next instance finds it",
        ("rows",),
        """
        out = Path(os.environ["OUT"])
        rows = Path(tempfile.gettempdir(), "rows")
        """,
        """
        out = Path(os.environ["OUT"])
        rows = Path(os.environ["OUT"], "rows")
        """,
    ),
    "two statements, with the comment of one": (
        "effect before the position",
        ("put",),
        """
        for number in range(first, rows):
            # the next one
            save(position, number + 1)
            put(number)  # here
            print(number)
        """,
        """
        for number in range(first, rows):
            put(number)  # here
            # the next one
            save(position, number + 1)
            print(number)
        """,
    ),
    "behind a loop": (
        "effect before the position",
        ("save",),
        """
        for row in rows:
            put(row)
            save(position)
        done()
        """,
        """
        for row in rows:
            put(row)
        save(position)
        done()
        """,
    ),
    "a position before a loop": (
        "effect before the position",
        ("save",),
        """
        save(position)
        for row in rows:
            put(row)
        """,
        """
        for row in rows:
            put(row)
        save(position)
        """,
    ),
    "out of an if": (
        "effect before the position",
        ("save",),
        """
        def main_handler(event, context):
            if late:
                put(1)
                save(
                    position,
                )
        """,
        """
        def main_handler(event, context):
            if late:
                put(1)
            save(
                position,
            )
        """,
    ),
    "a position that is a file's length": (
        "append and position in one",
        ("append",),
        """
        def main_handler(event, context):
            out = Path("out")
            first = int(position.read_text()) if position.exists() else 0
            for number in range(first, event["rows"]):
                with open(out / "rows", "a") as rows:  # append
                    rows.write(f"{number}")
                position.write_text(str(number + 1))
        """,
        """
        def main_handler(event, context):
            out = Path("out")
            first = len((out / "rows").read_text().splitlines()) if (out / "rows").exists() else 0
            for number in range(first, event["rows"]):
                with open(out / "rows", "a") as rows:  # append
                    rows.write(f"{number}")
                position.write_text(str(number + 1))
        """,
    ),
    "a row that is there": (
        "append and position in one",
        ("append",),
        """
        import os

        def main_handler(event, context):
            first = int(position.read_text()) if position.exists() else 0
            for number in range(first, event["rows"]):
                with open("rows", "a") as rows:  # append
                    rows.write(f"{number}")
                position.write_text(str(number + 1))
        """,
        """
        import os

        def main_handler(event, context):
            first = int(position.read_text()) if position.exists() else 0
            for number in range(first, event["rows"]):
                known = len(open("rows").readlines()) if os.path.exists("rows") else 0
                if number >= known:
                    with open("rows", "a") as rows:  # append
                        rows.write(f"{number}")
                position.write_text(str(number + 1))
        """,
    ),
    "two calls of functions, of which one is blamed": (
        "effect before the position",
        ("blamed",),
        """
        def put(number):
            for each in range(number):
                write(each)  # blamed

        def main_handler(event, context):
            save(1)
            put(1)
        """,
        """
        def put(number):
            for each in range(number):
                write(each)  # blamed

        def main_handler(event, context):
            put(1)
            save(1)
        """,
    ),
    "a commit between": (
        "one transaction",
        ("commit",),
        """
        bank.execute(DEBIT)
        bank.commit()  # first
        bank.execute(CREDIT)
        bank.commit()
        """,
        """
        bank.execute(DEBIT)
        bank.execute(CREDIT)
        bank.commit()
        """,
    ),
    "rows that are each committed": (
        "one transaction",
        ("executemany",),
        """
        bank.executemany(ROW, rows)
        """,
        """
        bank.execute("BEGIN")
        bank.executemany(ROW, rows)
        bank.execute("COMMIT")
        """,
    ),
    "a script": (
        "one transaction",
        ("script",),
        """
        bank.executescript(FROM + TO)
        """,
        """
        bank.executescript("BEGIN; " + FROM + TO + " COMMIT;")
        """,
    ),
}


@pytest.mark.parametrize(("kind", "marked", "before", "after"), CASES.values(), ids=[*CASES])
def test_what_a_template_makes(kind: str, marked: tuple[str, ...], before: str, after: str) -> None:
    makes(kind, before, after, *marked)


STOPS = {
    "a listener that is late": (
        "listener first",
        """
        def main_handler(event, context):
            '''Handles.'''
            global stopping
            stopping = False
            claim()  # here
            signal.signal(signal.SIGTERM, stop)

        def stop(number, frame):
            global stopping
            stopping = True
        """,
        """
        def main_handler(event, context):
            '''Handles.'''
            global stopping
            stopping = False
            signal.signal(signal.SIGTERM, stop)
            claim()  # here

        def stop(number, frame):
            global stopping
            stopping = True
        """,
    ),
    "a listener that exits": (
        "return in place of exit",
        """
        import sys


        @logged
        def stop(number, frame):
            print("stops")
            sys.exit(0)  # at once


        def main_handler(event, context):
            signal.signal(signal.SIGTERM, stop)
            for number in range(2):
                put(number)  # here
        """,
        """
        import sys


        stopping = False


        @logged
        def stop(number, frame):
            global stopping
            print("stops")
            stopping = True  # at once


        def main_handler(event, context):
            global stopping
            stopping = False
            signal.signal(signal.SIGTERM, stop)
            for number in range(2):
                if stopping:
                    sys.exit(0)
                put(number)  # here
        """,
    ),
    "an exception that looks like another one": (
        "an exception that no other code takes",
        """
        class Stopped(Exception):
            pass

        def stop(number, frame):
            raise Stopped

        signal.signal(signal.SIGTERM, stop)  # here
        """,
        """
        class Stopped(BaseException):
            pass

        def stop(number, frame):
            raise Stopped

        signal.signal(signal.SIGTERM, stop)  # here
        """,
    ),
    "a signal that is dropped": (
        "forget no signal",
        """
        def stop(number, frame):
            global stopping
            if critical:
                return
            stopping = True

        signal.signal(signal.SIGTERM, stop)  # here
        """,
        """
        def stop(number, frame):
            global stopping
            stopping = True

        signal.signal(signal.SIGTERM, stop)  # here
        """,
    ),
    "a flag that stays": (
        "reset the flag",
        """
        stopping = False

        def stop(number, frame):
            global stopping
            stopping = True

        def main_handler(event, context):
            '''Handles.'''
            signal.signal(signal.SIGTERM, stop)
            while not stopping:
                put(1)  # here
        """,
        """
        stopping = False

        def stop(number, frame):
            global stopping
            stopping = True

        def main_handler(event, context):
            '''Handles.'''
            global stopping
            stopping = False
            signal.signal(signal.SIGTERM, stop)
            while not stopping:
                put(1)  # here
        """,
    ),
    "an event that stays": (
        "reset the flag",
        """
        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: stopping.set())
            while not stopping.is_set():
                put(1)  # here
        """,
        """
        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())

        def main_handler(event, context):
            stopping.clear()
            signal.signal(signal.SIGTERM, lambda *_: stopping.set())
            while not stopping.is_set():
                put(1)  # here
        """,
    ),
    "a check in the middle of a step": (
        "stop between two steps",
        """
        def stop(number, frame):
            global stopping
            stopping = True

        signal.signal(signal.SIGTERM, stop)
        while queue:
            if stopping:
                break
            item = queue.pop()  # here
            if stopping:
                break
            put(item)
        """,
        """
        def stop(number, frame):
            global stopping
            stopping = True

        signal.signal(signal.SIGTERM, stop)
        while queue:
            if stopping:
                break
            item = queue.pop()  # here
            put(item)
        """,
    ),
    "a commit at a stop": (
        "save at a stop what the end saves",
        """
        def stop(number, frame):
            global stopping
            stopping = True

        signal.signal(signal.SIGTERM, stop)
        for row in rows:
            if stopping:
                save(row)  # here
                break
            bank.execute(ROW, row)
        bank.commit()
        """,
        """
        def stop(number, frame):
            global stopping
            stopping = True

        signal.signal(signal.SIGTERM, stop)
        for row in rows:
            if stopping:
                bank.commit()
                save(row)  # here
                break
            bank.execute(ROW, row)
        bank.commit()
        """,
    ),
    "a lock that the listener takes, too": (
        "RLock in place of Lock",
        """
        import threading

        lock = threading.Lock()

        def stop(number, frame):
            with lock:
                put(1)  # here

        signal.signal(signal.SIGTERM, stop)
        """,
        """
        import threading

        lock = threading.RLock()

        def stop(number, frame):
            with lock:
                put(1)  # here

        signal.signal(signal.SIGTERM, stop)
        """,
    ),
    "a list of the module": (
        "empty what the last event has filled",
        """
        rows = []
        names: set[str] = set()
        LIMITS = [1]

        def main_handler(event, context):
            names.clear()
            signal.signal(signal.SIGTERM, stop)
            rows.append(1)  # here
        """,
        """
        rows = []
        names: set[str] = set()
        LIMITS = [1]

        def main_handler(event, context):
            rows.clear()
            names.clear()
            signal.signal(signal.SIGTERM, stop)
            rows.append(1)  # here
        """,
    ),
    "a listener that saves": (
        "save in the loop, not in the listener",
        """
        def stop(number, frame):
            save()  # all
            # no more
            sys.exit(1)

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, stop)
            for number in range(2):
                step(number)  # here
            save()
        """,
        """
        stopping = False


        def stop(number, frame):
            global stopping
            stopping = True

        def main_handler(event, context):
            global stopping
            stopping = False
            signal.signal(signal.SIGTERM, stop)
            for number in range(2):
                if stopping:
                    save()  # all
                    # no more
                    sys.exit(1)
                step(number)  # here
            save()
        """,
    ),
    "a listener without it": (
        "no lock in the listener",
        """
        def stop(number, frame):
            with lock:
                put(1)  # here
            print("stops")

        signal.signal(signal.SIGTERM, stop)
        """,
        """
        def stop(number, frame):
            put(1)  # here
            print("stops")

        signal.signal(signal.SIGTERM, stop)
        """,
    ),
}


@pytest.mark.parametrize(("kind", "before", "after"), STOPS.values(), ids=[*STOPS])
def test_what_a_template_of_stops_makes(kind: str, before: str, after: str) -> None:
    makes(kind, before, after, "# here", how="graceful")
    assert of_kind(kind, made(before, "# here")) == []  # no SIGTERM has come


def test_a_listener_ignores_further_signals_where_a_second_one_does_harm() -> None:
    before = """
        def stop(number, frame):
            put(1)  # here

        signal.signal(signal.SIGTERM, stop)
        """
    after = """
        def stop(number, frame):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            put(1)  # here

        signal.signal(signal.SIGTERM, stop)
        """
    makes("ignore further signals", before, after, "here", how="graceful>graceful")
    assert of_kind("ignore further signals", made(before, "here", how="graceful")) == []


def test_a_list_that_is_emptied_already_or_is_none_stays() -> None:
    before = """
        rows = []
        LIMITS = [1]

        def main_handler(event, context):
            rows.clear()
            signal.signal(signal.SIGTERM, stop)
            rows.append(1)  # here
        """
    assert of_kind("empty what the last event has filled", made(before, "here", how="graceful")) == []


@pytest.mark.parametrize("line", ["save(number)", "rows = 1", "sys.exit(0); more()"])
def test_a_listener_that_does_something_else_in_a_loop_stays(line: str) -> None:
    before = f"""
        def stop(number, frame):
            {line}
            sys.exit(1)

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, stop)
            for number in range(2):
                step(number)  # here
        """
    assert of_kind("save in the loop, not in the listener", made(before, "here", how="graceful")) == []


LATE = """
    import threading
    import time

    stopping = False


    def stop(number, frame):
        global stopping
        stopping = True


    def main_handler(event, context):
        global stopping
        stopping = False
        signal.signal(signal.SIGTERM, stop)
        for number in range(2):
            if stopping:
                return number
            time.sleep(40)  # here
        return 2
    """
WAITS = """
    import threading
    import time

    stopping = False
    stop_requested = threading.Event()


    def stop(number, frame):
        global stopping
        stopping = True
        stop_requested.set()


    def main_handler(event, context):
        global stopping
        stop_requested.clear()
        stopping = False
        signal.signal(signal.SIGTERM, stop)
        for number in range(2):
            if stopping:
                return number
            if stop_requested.wait(40):
                return number  # here
        return 2
    """


def test_a_sleep_ends_when_sigterm_comes_where_that_is_late() -> None:
    kind = "wait for an event in place of a sleep"
    makes(kind, LATE, WAITS, "here", how="graceful", wrong=Kind.LATE)
    assert of_kind(kind, made(LATE, "here", how="graceful")) == []


LOCK = """
    import os

    def main_handler(event, context):
        if lock.exists():  # here
            print("busy")
            return "busy"
        lock.write_text(str(os.getpid()))
        try:
            work()
        finally:
            lock.unlink()
    """
FLOCK = """
    import fcntl
    import os

    def main_handler(event, context):
        held = open(lock, "a")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("busy")
            return "busy"
        lock.write_text(str(os.getpid()))
        try:
            work()
        finally:
            lock.unlink()
    """


def test_a_file_that_is_there_is_no_lock_any_more() -> None:
    kind = "the kernel's lock in place of a lock file"
    makes(kind, LOCK, FLOCK, "here")
    makes(kind, LOCK.replace("lock.exists()", "os.path.exists(lock)"), FLOCK, "here")
    is_done = LOCK.replace("            lock.unlink()\n", "            pass\n")  # the file says that all is done
    assert of_kind(kind, made(is_done, "here")) == []


POLLS = """
    import threading
    import time

    stop_requested = threading.Event()


    def stop(number, frame):
        stop_requested.set()


    def main_handler(event, context):
        stop_requested.clear()
        signal.signal(signal.SIGTERM, stop)
        while not stop_requested.is_set():
            poll()
            time.sleep(40)  # here
        return "stopped"
    """


def test_the_condition_of_a_loop_still_ends_it_and_the_function_returns_what_it_did() -> None:
    kind = "wait for an event in place of a sleep"
    found = of_kind(kind, made(POLLS, "here", how="graceful", kind=Kind.LATE))
    before = textwrap.dedent(POLLS).lstrip("\n")
    assert found == [
        before.replace("time.sleep(40)", "stop_requested.wait(40)"),
        before.replace("time.sleep(40)", "if stop_requested.wait(40):\n            break"),
    ]


def test_a_sleep_before_other_work_is_not_only_shorter() -> None:
    kind = "wait for an event in place of a sleep"
    asked_then = POLLS.replace(
        "            poll()\n            time.sleep(40)  # here",
        "            time.sleep(40)  # here\n            poll()",
    )
    (found,) = of_kind(kind, made(asked_then, "here", how="graceful", kind=Kind.LATE))
    assert "            break  # here\n" in found


RENAME = """
    import os

    new.write_text("1")
    os.replace(new, out / "state")
    """
SYNCED = """
    import os

    new.write_text("1")
    with open(new, "rb") as synced:
        os.fsync(synced.fileno())
    os.replace(new, out / "state")
    """
DIRECTORY = """
    directory = os.open((out / "state").parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    """


def test_a_file_is_synced_before_its_rename_where_power_was_asked_for() -> None:
    kind = "sync before the rename"
    makes(kind, RENAME, SYNCED, "replace", how="power")
    makes(kind, RENAME, f"{SYNCED.rstrip(chr(32))}{DIRECTORY[1:]}", "replace", how="power")
    assert of_kind(kind, made(RENAME, "replace")) == []
    in_place = of_kind(NEW, made('import os\n\nstate.write_text("1")\n', "state", how="power"))
    assert len(in_place) == 3
    assert sum("fsync" in text for text in in_place) == 2


ORDER = LATE.replace(
    "time.sleep(40)", "time.sleep(40)\n            state.write_text(str(number))\n            done(number)"
)


def test_those_come_first_that_change_least() -> None:
    found = made(ORDER, "here", how="graceful", kind=Kind.LATE)
    sizes = [_size(textwrap.dedent(ORDER).lstrip("\n"), change.source) for change in found]
    assert len(found) > 3
    assert sizes == sorted(sizes)


def _size(before: str, after: str) -> int:
    """How many lines a diff of the two has."""
    lines = difflib.unified_diff(before.split("\n"), after.split("\n"), n=0)
    return sum(line[:1] in "+-" for line in lines)


NO_CHANGE = {
    "no Python": "state.write_text('1'\n",
    "other ends of lines": 'state.write_text("1")\rprint(1)\n',
    "a statement that shares its line": 'import os; state.write_text("1"); print(1)\n',
    "a compound statement of one line": 'if late: state.write_text("1")\n',
    "nothing": "\n",
    "a comment": "# state\n",
}


@pytest.mark.parametrize("source", NO_CHANGE.values(), ids=[*NO_CHANGE])
def test_where_a_template_makes_no_change(source: str) -> None:
    found = blaming("state" if "state" not in source else source, "state")
    assert list(changes(source, "job.py", found)) == []


STAYS_IN_ORDER = {
    "a check before an effect": "if stopping:\n    save(1)\n    return\nput(1)\n",
    "an end": "put(1)\nsys.exit(0)\n",
    "a listener": "put(1)\nsignal.signal(signal.SIGTERM, stop)\n",
    "a name that is given": "position += put(1)\nsave(position)\n",
    "what is removed": "first = load(position)\nposition.unlink()\n",
}


@pytest.mark.parametrize("body", STAYS_IN_ORDER.values(), ids=[*STAYS_IN_ORDER])
def test_what_does_not_move(body: str) -> None:
    source = "def main_handler(event, context):\n" + textwrap.indent(body, "    ")
    found = list(changes(source, "job.py", blaming(source, "put", "position", how="graceful")))
    orders = [change.source for change in found if change.kind == "effect before the position"]
    for order in orders:
        before, after = source.split("\n"), order.split("\n")
        assert before == after, order


def test_a_file_that_is_not_blamed_has_no_change() -> None:
    source = 'state.write_text("1")\n'
    assert list(changes(source, "other.py", blaming(source, "state"))) == []


def test_a_text_of_several_lines_keeps_its_lines() -> None:
    before = """
        for row in rows:
            put(row)
            save('''1
            2''')
        """
    assert all("'''1\n    2'''" in change.source for change in made(before, "save"))
    assert of_kind("effect before the position", made(before, "save"))


def test_a_last_line_without_an_end_stays_so() -> None:
    source = "put(1)\nsave(2)"
    found = list(changes(source, "job.py", blaming(source, "save")))
    assert [change.source for change in found] == ["save(2)\nput(1)"]


@pytest.mark.parametrize("path", HANDLERS, ids=[path.stem for path in HANDLERS])
def test_changes_of_whole_handlers_are_valid_keep_their_comments_and_come_once(path: Path) -> None:
    source = path.read_text("utf-8")
    for how in ("forced", "graceful>graceful", "power"):
        found = list(changes(source, "job.py", blaming(source, "(", how=how)))
        assert len({change.source for change in found}) == len(found) > 0
        for change in found:
            ast.parse(change.source)
            assert change.source != source
            assert change.file == "job.py"
            before, after = source.split("\n"), change.source.split("\n")
            assert before[: change.line - 1] == after[: change.line - 1]
            assert before[change.line - 1] != after[change.line - 1]
