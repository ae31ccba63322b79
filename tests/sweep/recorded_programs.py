"""Handlers that change files in each way that is recorded; a bare process calls them, too, and is killed."""

from __future__ import annotations

import dbm.dumb
import json
import os
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import Any

ROUNDS = 10


def _out() -> Path:
    return Path(os.environ["OUT"])


def in_place(event: Any, context: Any) -> None:
    for number in range(ROUNDS):
        (_out() / "checkpoint.json").write_text(json.dumps({"done": number, "rows": ["row"] * 3000}))


def renamed(event: Any, context: Any) -> None:
    for number in range(ROUNDS):
        new = _out() / "checkpoint.new"
        new.write_text(json.dumps({"done": number, "rows": ["row"] * 3000}))
        new.replace(_out() / "checkpoint.json")


def copied(event: Any, context: Any) -> None:
    source = _out() / "source"
    source.write_bytes(bytes(range(256)) * (3 * 4096))
    for number in range(5):
        shutil.copyfile(source, _out() / f"copy-{number % 2}")


def in_pieces(event: Any, context: Any) -> None:
    fd = os.open(_out() / "pieces", os.O_RDWR | os.O_CREAT, 0o640)
    for number in range(ROUNDS):
        os.pwrite(fd, bytes([65 + number]) * 10_001, 4_000 + 3_333 * number)
        os.writev(fd, [b"begin", b"-" * 5_000, b"end"])
        os.ftruncate(fd, 30_000 - 500 * number)
        os.ftruncate(fd, 200_000 + 4_097 * number)
        os.pwrite(fd, b"far", 300_000 + number)
        os.posix_fallocate(fd, 400_000, 10 * number + 1)
        with (_out() / "appended").open("a") as file:
            file.write(f"{number}: {'x' * 3_000}\n")
    os.close(fd)


def names(event: Any, context: Any) -> None:
    out = _out()
    for number in range(ROUNDS):
        (out / "data").write_text(f"data {number}" * number)
        (out / "backup").unlink(missing_ok=True)
        os.link(out / "data", out / "backup")
        os.chmod(out / "data", 0o600 if number % 2 else 0o644)
        with open(out / "data", "r+b") as file:
            file.write(b"both")
        os.replace(out / "data", out / f"data-{number % 3}")
        (out / "current").unlink(missing_ok=True)
        os.symlink(f"data-{number % 3}", out / "current")
        os.utime(out / "current", (number, number))
        with open(out / "current", "ab") as file:
            file.write(b"by a link")
        (out / "deep" / "er").mkdir(parents=True)
        (out / "deep" / "er" / "file").write_text("x" * 5000)
        os.rename(out / "deep", out / "moved")
        os.chdir(out / "moved")
        Path("er/file").write_text("relative")
        shutil.copy2(out / "current", "stamped")
        shutil.rmtree(out / "moved")
        os.chdir("/")


def by_children(event: Any, context: Any) -> None:
    for number in range(3):
        subprocess.run(["sh", "-c", f"echo {number} > one; echo {number} >> all; mv one last"], cwd=_out(), check=True)


def dumb(event: Any, context: Any) -> None:
    with dbm.dumb.open(str(_out() / "table"), "c") as table:
        for number in range(ROUNDS):
            table[str(number % 7)] = "x" * 300 * number
            table.sync()


def _writes_rows(mode: str) -> None:
    connection = sqlite3.connect(_out() / "rows.db", isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text)")
    for number in range(ROUNDS):
        connection.execute("BEGIN")
        for part in range(3):
            connection.execute("INSERT INTO rows (text) VALUES (?)", (f"{number}.{part} " + "x" * 3000,))
        connection.execute("UPDATE rows SET text = ? WHERE id = 1", (str(number),))
        connection.execute("COMMIT")
    connection.close()


def sqlite_delete(event: Any, context: Any) -> None:
    _writes_rows("DELETE")


def sqlite_truncate(event: Any, context: Any) -> None:
    _writes_rows("TRUNCATE")


def sqlite_persist(event: Any, context: Any) -> None:
    _writes_rows("PERSIST")


def sqlite_wal(event: Any, context: Any) -> None:
    _writes_rows("WAL")


def two_threads(event: Any, context: Any) -> None:
    def write(name: str) -> None:
        for number in range(ROUNDS):
            (_out() / name / "checkpoint.json").write_text(json.dumps({"done": number, "rows": ["row"] * 3000}))
            with (_out() / name / "log").open("a") as file:
                file.write(f"{number}\n")

    for name in ("one", "two"):
        (_out() / name).mkdir()
    threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def two_processes(event: Any, context: Any) -> None:
    script = """
    for number in 1 2 3 4 5 6; do
        echo $number > "$0/new"
        mv "$0/new" "$0/last"
        echo $number >> "$0/log"
    done
    """
    processes = []
    for name in ("one", "two"):
        (_out() / name).mkdir()
        processes.append(subprocess.Popen(["sh", "-c", script, _out() / name]))
    for process in processes:
        assert process.wait() == 0
