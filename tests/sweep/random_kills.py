"""Kills a handler at random moments as a bare process, starts it again until it is done, and says what is lost.

Repairs are judged by it, so it shares no code with the package and nothing is like what the sweep does: there is no
record and no point. A bare process of Python runs the handler; it gets a real SIGKILL or SIGTERM at a moment that is
drawn at random, and is started again, without its ``/tmp``, until it returns what the undisturbed process has returned.

Sleeps take a thousandth of their time, and each statement of the handler, and each call that may change a file, pauses
for a moment, so that a moment between two calls is about as likely as one in a sleep.

As a script, it reads a job as JSON from its standard input, and writes what was lost, a line for each kill.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import random
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

ATTEMPTS = 5
"""How often the function is started again."""
SCALE = 0.001
PAUSE = 5e-5
BOUND = 60.0
"""Real seconds after which a process counts as stuck."""
SHOWN = 3
_FILE = "handler.py"
_TO_DISK = frozenset({"posix", "_io", "sqlite3"})
_MAGIC = b"SQLite format 3\0"
_PRELOADED = (
    "asyncio",
    "configparser",
    "csv",
    "dbm.dumb",
    "fcntl",
    "tempfile",
    "uuid",
    "xml.etree.ElementTree",
    "zipfile",
)

Files = dict[str, Any]
"""By path: lines of a file, rows of a database by table, or the kind of something else, in bags."""


def losses(
    source: str,
    payload: dict[str, int],
    signals: list[list[str]],
    times: int,
    *,
    exactly_once: bool,
    seed: str,
    only_first: bool = False,
) -> list[str]:
    """What bare processes of the handler *source* lose in so many kills, each of which is one of *signals*."""
    job = {"source": source, "payload": payload, "signals": signals, "times": times, "only_first": only_first}
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__],
        input=json.dumps({**job, "exactly_once": exactly_once, "seed": seed}),
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def listing(directory: Path) -> Files:
    found: Files = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_symlink() or path.is_dir():
            found[name] = Counter([os.readlink(path) if path.is_symlink() else "a directory"])
            continue
        content = path.read_bytes()
        found[name] = Counter(content.decode("latin-1").splitlines())
        if content.startswith(_MAGIC):
            found[name] = _rows(path)
    return found


def _rows(path: Path) -> Counter[str]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return Counter(f"{name}: {row}" for name in tables for row in database.execute(f"SELECT * FROM {name}"))


class Bare:
    """Runs of one handler."""

    def __init__(self, job: dict[str, Any], scratch: Path) -> None:
        self._code = compile(_with_pauses(job["source"]), _FILE, "exec")
        self._payload, self._exactly_once = job["payload"], job["exactly_once"]
        self._out, self._tmp = scratch / "out", scratch / "tmp"
        self._rng = random.Random(job["seed"])
        self._result, seconds = self._undisturbed()
        self._expected = listing(self._out)
        self._seconds = sorted([seconds, *(self._undisturbed()[1] for _ in range(2))])[1]

    def _undisturbed(self) -> tuple[str, float]:
        self._empty(self._out)
        began = time.monotonic()
        result = self._event([])
        assert result is not None, "the handler fails undisturbed"
        return result, time.monotonic() - began

    def killed(self, signals: list[str]) -> str:
        """What is lost when the first process gets *signals*; empty: nothing."""
        self._empty(self._out)
        result = self._event([getattr(signal, f"SIG{name}") for name in signals])
        for _ in range(ATTEMPTS):
            if result == self._result:
                return self._difference()
            result = self._event([])
        return "never finishes" if result != self._result else self._difference()

    def _difference(self) -> str:
        found = listing(self._out)
        for path, expected in self._expected.items():
            is_there = found.get(path)
            if is_there is None:
                return f"{path} is lost"
            same = is_there == expected if self._exactly_once else set(is_there) == set(expected)
            if not same:
                return (
                    f"{path} has {sorted(is_there.elements())!r:.200} in place of {sorted(expected.elements())!r:.200}"
                )
        return ""

    def _empty(self, directory: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()

    def _event(self, signals: list[int]) -> str | None:
        """The result of a new process, which gets *signals* at random moments; None: it has none."""
        self._empty(self._tmp)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            self._run(writing)
        os.close(writing)
        with open(reading, "rb") as pipe:
            try:
                assert pipe.read(1) == b"b"
                spread = 1.0
                for number in signals:
                    if select.select([pipe], [], [], self._rng.uniform(0, self._seconds * spread))[0]:
                        break
                    os.kill(child, number)
                    spread = 0.25 * self._rng.random()  # a listener is short
                ended = bool(select.select([pipe], [], [], BOUND)[0])
                return pipe.read().decode() or None if ended else None
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)

    def _run(self, writing: int) -> NoReturn:
        try:
            os.environ.update(OUT=str(self._out), TMPDIR=str(self._tmp))
            tempfile.tempdir = None
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            sys.stderr = sys.stdout
            _slow_down()
            _stand_in(self._out)
            module = types.ModuleType("handler")
            module.__dict__["_pause_here"] = _pause_here
            exec(self._code, module.__dict__)  # noqa: S102
            os.write(writing, b"b")
            sys.setprofile(_pause)
            result = module.main_handler(self._payload, None)
            sys.setprofile(None)
            os.write(writing, json.dumps(result).encode())
        finally:
            os._exit(0)


_sleep, _wait = time.sleep, threading.Event.wait


def _with_pauses(source: str) -> ast.Module:
    """The tree of *source*, in which each statement of a function pauses first.

    A profile function alone would not do: what a listener does that is called while that pauses is not profiled.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and not isinstance(node, (ast.Module, ast.ClassDef)):
                pauses = [ast.Expr(ast.Call(ast.Name("_pause_here", ast.Load()), [], [])) for _ in block]
                setattr(node, name, [each for pair in zip(pauses, block, strict=True) for each in pair])
    return ast.fix_missing_locations(tree)


def _pause_here() -> None:
    _sleep(PAUSE)


def _pause(frame: types.FrameType, event: str, function: object) -> None:
    owner = getattr(function, "__self__", None) if event.startswith("c_") else None
    name = owner.__name__ if isinstance(owner, types.ModuleType) else type(owner).__module__
    if name in _TO_DISK or frame.f_code.co_filename == _FILE:
        _sleep(PAUSE)


def _short_sleep(seconds: float) -> None:
    _sleep(seconds * SCALE)


def _short_wait(self: threading.Event, timeout: float | None = None) -> bool:
    return _wait(self, None if timeout is None else timeout * SCALE)


def _slow_down() -> None:
    time.sleep = _short_sleep  # type: ignore[assignment]
    threading.Event.wait = _short_wait  # type: ignore[method-assign]


def _stand_in(out: Path) -> None:
    """A record of the handler is a line of a file."""

    def record(*values: object, **named: object) -> None:
        file = os.open(out / "records", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.write(file, f"{values} {named}\n".encode())
        os.close(file)

    package, inside = types.ModuleType("pytest_scf_async"), types.ModuleType("pytest_scf_async.inside")
    inside.record = record  # type: ignore[attr-defined]
    package.inside = inside  # type: ignore[attr-defined]
    sys.modules.update({"pytest_scf_async": package, "pytest_scf_async.inside": inside})


def main() -> None:
    """Answer the job on the standard input."""
    for name in _PRELOADED:  # here, as the forks have it then
        __import__(name)
    job = json.load(sys.stdin)
    # on a disk, where a database takes its time to sync each commit
    fast = "/dev/shm" if "sqlite3" not in job["source"] and os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=fast) as scratch:
        bare, rng = Bare(job, Path(scratch)), random.Random(job["seed"])
        for _ in range(job["times"]):
            signals = rng.choice(job["signals"])
            lost = bare.killed(signals)
            if lost:
                print(f"{' and '.join(signals)}: {lost}", flush=True)
                if job["only_first"]:
                    break


if __name__ == "__main__":
    main()
