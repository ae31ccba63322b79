"""Random handlers: each keeps a checkpoint and does work in some right or wrong way.

A handler is put together by a seed out of parts: how it keeps its position, what its work is, which of both comes
first, whether it holds a lock, and what it does at SIGTERM. Most are wrong somewhere; nobody says where. What a process
does depends on the directory and the server alone, and not on time: so what a kill leaves says what comes of it.
"""

from __future__ import annotations

import random
from typing import NamedTuple

MODULES = (*("fcntl", "json", "os", "signal", "socket", "sqlite3", "subprocess", "sys", "threading", "time"),)
HEAD = """
from pathlib import Path

OUT = Path(os.environ["OUT"])
at = 0
stopping = False


class StoppedError(Exception):
    pass
"""

CHECKPOINTS = {
    "in_place": """
        def load():
            position = OUT / "position.json"
            if not position.exists():
                return 0
            return json.loads(position.read_text())["next"]

        def save(number):
            (OUT / "position.json").write_text(json.dumps({"next": number}))
    """,
    "in_place_lenient": """
        def load():
            try:
                return int((OUT / "position").read_text())
            except (OSError, ValueError):
                return 0

        def save(number):
            (OUT / "position").write_text(str(number))
    """,
    "renamed": """
        def load():
            position = OUT / "position"
            return int(position.read_text()) if position.exists() else 0

        def save(number):
            new = OUT / "position.new"
            new.write_text(str(number))
            os.replace(new, OUT / "position")
    """,
    "removed_then_renamed": """
        def load():
            position = OUT / "position"
            return int(position.read_text()) if position.exists() else 0

        def save(number):
            new = OUT / "position.new"
            new.write_text(str(number))
            (OUT / "position").unlink(missing_ok=True)
            new.rename(OUT / "position")
    """,
    "hard_link": """
        def load():
            for name in ("position", "backup"):
                path = OUT / name
                if path.exists() and path.read_text():
                    return int(path.read_text())
            return 0

        def save(number):
            position = OUT / "position"
            backup = OUT / "backup"
            backup.unlink(missing_ok=True)
            if position.exists():
                os.link(position, backup)
            position.write_text(str(number))
    """,
    "copied": """
        def load():
            for name in ("position", "backup"):
                path = OUT / name
                if path.exists() and path.read_text():
                    return int(path.read_text())
            return 0

        def save(number):
            position = OUT / "position"
            if position.exists():
                (OUT / "backup").write_bytes(position.read_bytes())
            position.write_text(str(number))
    """,
    "appended": """
        def load():
            positions = OUT / "positions"
            if not positions.exists():
                return 0
            return len(positions.read_text().splitlines())

        def save(number):
            with open(OUT / "positions", "a") as positions:
                positions.write(f"{number}\\n")
    """,
    "appended_in_parts": """
        def load():
            positions = OUT / "positions"
            if not positions.exists():
                return 0
            return int(positions.read_text().splitlines()[-1])

        def save(number):
            with open(OUT / "positions", "ab", buffering=0) as positions:
                positions.write(b"%d" % number)
                positions.write(b"\\n")
    """,
    "dup": """
        def load():
            positions = OUT / "positions"
            if not positions.exists():
                return 0
            return positions.read_text().count("/")

        def save(number):
            one = os.open(OUT / "positions", os.O_WRONLY | os.O_CREAT, 0o644)
            two = os.dup(one)
            os.lseek(two, 0, os.SEEK_END)
            os.write(one, b"%d" % number)
            os.write(two, b"/")
            os.close(one)
            os.close(two)
    """,
    "two_descriptors": """
        def load():
            positions = OUT / "positions"
            if not positions.exists():
                return 0
            return positions.read_bytes().count(b"+")

        def save(number):
            one = os.open(OUT / "positions", os.O_WRONLY | os.O_CREAT, 0o644)
            two = os.open(OUT / "positions", os.O_WRONLY | os.O_APPEND)
            os.write(two, b"+")
            os.pwrite(one, b"+", number - 1)
            os.ftruncate(one, number)
            os.close(one)
            os.close(two)
    """,
    "truncated": """
        def load():
            fd = os.open(OUT / "position", os.O_RDWR | os.O_CREAT, 0o644)
            text = os.read(fd, 100)
            os.close(fd)
            return int(text or b"0")

        def save(number):
            fd = os.open(OUT / "position", os.O_RDWR | os.O_CREAT, 0o644)
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d" % number, 0)
            os.close(fd)
    """,
    "symbolic_link": """
        def load():
            position = OUT / "position"
            return int(os.readlink(position)) if position.is_symlink() else 0

        def save(number):
            new = OUT / "position.new"
            new.unlink(missing_ok=True)
            os.symlink(str(number), new)
            os.replace(new, OUT / "position")
    """,
    "symbolic_link_made_twice": """
        def load():
            position = OUT / "position"
            return int(os.readlink(position)) if position.is_symlink() else 0

        def save(number):
            new = OUT / "position.new"
            os.symlink(str(number), new)
            os.replace(new, OUT / "position")
    """,
    "markers": """
        def load():
            return len(list(OUT.glob("done-*")))

        def save(number):
            (OUT / f"done-{number}").touch()
    """,
    "none": """
        def load():
            return 0

        def save(number):
            pass
    """,
    "sqlite": """
        def load():
            database = connected()
            database.execute("CREATE TABLE IF NOT EXISTS position (name TEXT PRIMARY KEY, number INTEGER)")
            row = database.execute("SELECT number FROM position").fetchone()
            database.close()
            return row[0] if row else 0

        def save(number):
            database = connected()
            database.execute("INSERT OR REPLACE INTO position VALUES ('next', ?)", (number,))
            database.close()
    """,
    "sqlite_deleted": """
        def load():
            database = connected()
            database.execute("CREATE TABLE IF NOT EXISTS position (number INTEGER)")
            row = database.execute("SELECT number FROM position").fetchone()
            database.close()
            return row[0] if row else 0

        def save(number):
            database = connected()
            database.execute("DELETE FROM position")
            database.execute("INSERT INTO position VALUES (?)", (number,))
            database.close()
    """,
}

WORKS = {
    "page": """
        def work(number):
            (OUT / f"page-{number}").write_text(f"page {number}\\n")
    """,
    "page_renamed": """
        def work(number):
            new = OUT / "page.new"
            new.write_text(f"page {number}\\n")
            new.rename(OUT / f"page-{number}")
    """,
    "page_only_once": """
        def work(number):
            with open(OUT / f"page-{number}", "x") as page:
                page.write(f"page {number}\\n")
    """,
    "page_if_not_there": """
        def work(number):
            page = OUT / f"page-{number}"
            if page.exists():
                return
            page.write_text(f"page {number}\\n")
    """,
    "log": """
        def work(number):
            with open(OUT / "log", "a") as log:
                log.write(f"page {number}\\n")
    """,
    "log_in_parts": """
        def work(number):
            with open(OUT / "log", "ab", buffering=0) as log:
                log.write(b"page ")
                log.write(b"%d\\n" % number)
    """,
    "log_without_repeats": """
        def work(number):
            log = OUT / "log"
            line = f"page {number}\\n"
            if log.exists() and line in log.read_text():
                return
            with open(log, "a") as file:
                file.write(line)
    """,
    "log_kept_open": """
        log = None

        def work(number):
            global log
            if log is None:
                log = open(OUT / "log", "a")
            log.write(f"page {number}\\n")
            if number % 2:
                log.flush()
    """,
    "counter": """
        def work(number):
            counter = OUT / "counter"
            count = int(counter.read_text() or 0) if counter.exists() else 0
            counter.write_text(str(count + 1))
    """,
    "linked": """
        def work(number):
            page = OUT / "page"
            page.unlink(missing_ok=True)
            page.write_text(f"page {number}\\n")
            last = OUT / f"page-{number}"
            if not last.exists():
                os.link(page, last)
    """,
    "rows": """
        def work(number):
            database = connected()
            database.execute("CREATE TABLE IF NOT EXISTS pages (number INTEGER, text TEXT)")
            database.execute("INSERT INTO pages VALUES (?, ?)", (number, f"page {number}"))
            database.close()
    """,
    "rows_by_key": """
        def work(number):
            database = connected()
            database.execute("BEGIN")
            database.execute("CREATE TABLE IF NOT EXISTS pages (number INTEGER PRIMARY KEY, text TEXT)")
            database.execute("INSERT OR REPLACE INTO pages VALUES (?, ?)", (number, f"page {number}"))
            database.execute("COMMIT")
            database.close()
    """,
    "thread": """
        def write(number):
            (OUT / f"page-{number}").write_text(f"page {number}\\n")
            with open(OUT / "log", "a") as file:
                file.write(f"page {number}\\n")

        def work(number):
            writer = threading.Thread(target=write, args=(number,))
            writer.start()
            writer.join()
    """,
    "child": """
        def work(number):
            command = f"echo page {number} > page-{number}; echo {number} >> log"
            subprocess.run(["sh", "-c", command], cwd=OUT, check=True)
    """,
}

SPEAKS = """
        def asked(command):
            with socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))) as connection:
                connection.sendall(command.encode() + b"\\n")
                return json.loads(connection.recv(1000))
"""
WORKS |= {
    "item": SPEAKS
    + """
        def work(number):
            asked(f"put page {number}")
    """,
    "item_if_not_there": SPEAKS
    + """
        def work(number):
            if f"page {number}" not in asked("get"):
                asked(f"put page {number}")
    """,
    "item_in_parts": """
        def work(number):
            with socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))) as connection:
                connection.sendall(b"put ")
                connection.sendall(b"page %d\\n" % number)
                connection.recv(1000)
    """,
}

OTHER_CHECKPOINTS = {
    "attribute": """
        def load():
            position = OUT / "position"
            position.touch()
            return int(os.getxattr(position, "user.next")) if os.listxattr(position) else 0

        def save(number):
            os.setxattr(OUT / "position", "user.next", b"%d" % number)
    """,
    "attributes_set_and_removed": """
        def load():
            return len([each for each in os.listxattr(OUT) if each.startswith("user.")])

        def save(number):
            os.setxattr(OUT, f"user.{number}", b"")
            if number == 2:
                os.removexattr(OUT, "user.2")
                os.setxattr(OUT, "user.two", b"")
    """,
    "inode": """
        def load():
            log, position = OUT / "read", OUT / "position"
            if not log.exists():
                log.write_text("to be read")
            if not position.exists():
                return 0
            inode, number = map(int, position.read_text().removeprefix("inode-").split())
            return number if inode == log.stat().st_ino else 0

        def save(number):
            new = OUT / "position.new"
            new.write_text(f"inode-{(OUT / 'read').stat().st_ino} {number}")
            os.replace(new, OUT / "position")
    """,
}
"""Those, and `OTHER_WORKS`, that no handler has of which only the seed is given: it would be another one."""
OTHER_WORKS = {
    "record": """
        try:
            from pytest_scf_async.inside import record
        except ImportError:  # in a bare process

            def record(name, **fields):
                with open(os.environ["TOLD"], "ab", buffering=0) as told:
                    told.write(json.dumps([name, fields]).encode() + b"\\n")

        def work(number):
            (OUT / f"page-{number}").touch(), record("page", number=number)  # no line begins between the two
    """,
    "socket": """
        def work(number):
            os.chdir(OUT)
            with socket.socket(socket.AF_UNIX) as control:
                control.bind("control")
                Path(f"page-{number}").write_text(f"page {number}\\n")
                os.unlink("control")
    """,
    "pipe": """
        def work(number):
            if not (OUT / "pipe").is_fifo():
                os.mkfifo(OUT / "pipe")
            (OUT / f"page-{number}").write_text(f"page {number}\\n")
            os.unlink(OUT / "pipe")
    """,
}

LOCKS = {
    "none": ("", "", ""),
    "file": (
        """
        def locked():
            os.close(os.open(OUT / "lock", os.O_CREAT | os.O_EXCL))

        def unlocked():
            os.unlink(OUT / "lock")
        """,
        "locked()",
        "unlocked()",
    ),
    "flock": (
        """
        held = None

        def locked():
            global held
            held = os.open(OUT / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(held, fcntl.LOCK_EX)

        def unlocked():
            os.close(held)
        """,
        "locked()",
        "unlocked()",
    ),
    "flock_at_once": (
        """
        held = None

        def locked():
            global held
            held = os.open(OUT / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)

        def unlocked():
            os.close(held)
        """,
        "locked()",
        "unlocked()",
    ),
}

LISTENERS = {
    "none": "",
    "flag": """
        def stop(signum, frame):
            global stopping
            stopping = True
    """,
    "raises": """
        def stop(signum, frame):
            raise StoppedError
    """,
    "exits": """
        def stop(signum, frame):
            sys.exit(0)
    """,
    "file": """
        def stop(signum, frame):
            (OUT / "stop").touch()
    """,
    "saves": """
        def stop(signum, frame):
            save(at)
            sys.exit(0)
    """,
    "saves_and_goes_on": """
        def stop(signum, frame):
            save(at)
    """,
    "locks": """
        def stop(signum, frame):
            global stopping
            fd = os.open(OUT / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(fd, fcntl.LOCK_EX)
            stopping = True
            os.close(fd)
    """,
}

CONNECTED = """
        def connected():
            database = sqlite3.connect(OUT / "rows.db", isolation_level=None, timeout=0)
            database.execute("PRAGMA journal_mode={mode}")
            database.execute("PRAGMA synchronous=OFF")
            return database
"""
MODES = ("DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL")


class Handler(NamedTuple):
    """A handler, and what it is made of."""

    source: str
    parts: str
    has_threads: bool
    """Another thread writes, and the main thread waits for it."""
    has_others: bool
    """Another thread, or a child process, has effects."""
    has_server: bool
    """It speaks to a server at ``PORT``."""


def random_handler(seed: int, checkpoint: str = "", work: str = "") -> Handler:
    """The handler of *seed*, always the same; with these parts, where they are given."""
    rng = random.Random(seed)
    drawn = rng.choice(list(CHECKPOINTS)), rng.choice(list(WORKS))
    checkpoint, work = checkpoint or drawn[0], work or drawn[1]
    lock, listener = rng.choice(["none", *LOCKS]), rng.choice(list(LISTENERS))
    if listener == "locks":
        lock = "none"
    mode, pages = rng.choice(MODES), rng.choice([2, 2, 2, 3])
    first, resets, catches = rng.random() < 0.5, rng.random() < 0.6, rng.random() < 0.5
    sleeps, sums_up, guarded = rng.random() < 0.6, rng.random() < 0.3, rng.random() < 0.7

    code, enter, leave = LOCKS[lock]
    working = ["work(at)"]
    if listener == "locks":  # each wait for it has no end: the lock is held for a moment
        code = LOCKS["flock"][0]
        working = ["locked()", "work(at)", "unlocked()"]
    steps = ["save(at + 1)", *working] if first else [*working, "save(at + 1)"]
    functions = [(CHECKPOINTS | OTHER_CHECKPOINTS)[checkpoint], (WORKS | OTHER_WORKS)[work], code, LISTENERS[listener]]
    if "connected()" in "".join(functions):
        functions.insert(0, CONNECTED.format(mode=mode))
    body = ["global at, stopping"]
    if resets:
        body += ["stopping = False"]
        body += ["(OUT / 'stop').unlink(missing_ok=True)"] * (listener == "file")
    if listener != "none":
        body += ["signal.signal(signal.SIGTERM, stop)"]
    body += [enter] if enter else []
    block = [
        "at = load()",
        f"while at < {pages}:",
        *(["    if stopping:", "        return {'next': at}"] if listener in ("flag", "locks") else []),
        *(["    if (OUT / 'stop').exists():", "        return {'next': at}"] if listener == "file" else []),
        *(["    time.sleep(1)"] if sleeps else []),
        *(f"    {step}" for step in steps),
        "    at += 1",
    ]
    block += ["(OUT / 'summary').write_text(f'{at} pages')"] * sums_up
    if enter and guarded:
        block = ["try:", *(f"    {line}" for line in block), "finally:", f"    {leave}"]
    elif enter:
        block += [leave]
    if listener == "raises" and catches:
        block = ["try:", *(f"    {line}" for line in block), "except StoppedError:", "    return {'stopped': at}"]
    body += [*block, f"return {{'pages': {pages}}}"]
    handler = "def main_handler(event, context):\n" + "".join(f"    {line}\n" for line in body)
    source = "\n\n".join([HEAD.strip("\n") + "\n", *(_dedented(each) for each in functions if each), handler])
    source = "".join(f"import {module}\n" for module in MODULES if f"{module}." in source) + source
    parts = f"{checkpoint}, {work}, {'position' if first else 'work'} first, lock {lock}, listener {listener}, {mode}"
    return Handler(source, parts, work == "thread", work in ("thread", "child"), "PORT" in functions[-3])


def _dedented(code: str) -> str:
    import textwrap

    text = textwrap.dedent(code).strip("\n") + "\n"
    return text.replace("\n\ndef ", "\n\n\ndef ")


if __name__ == "__main__":
    import sys

    print(random_handler(int(sys.argv[1])).source)
