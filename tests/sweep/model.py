"""A plain reference sweep without the product: it runs a handler once for each moment of interruption, and compares.

It is the oracle for the seeded set, and what the product's sweep is compared with, so it shares no code with it. The
handler's source is rewritten: a call before each statement, and one at each place where Python takes a signal. A trace
function would not do: when a listener called there raises, Python turns tracing off, and the lines of a listener that
runs within one are not traced. That the rewritten source passes the lines that CPython traces has a test.

Each run is a forked process. SIGKILL is the real one. SIGTERM calls the listener, and is SIGKILL where there is none.
A kill between two lines is one before the second. One between two system calls of a line comes by ``ptrace``: the
process stops at each call, and is killed at the first one at which the directory is like that.
"""

from __future__ import annotations

import argparse
import ast
import ctypes
import functools
import importlib
import json
import mmap
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["failing", "lines_passed", "lines_traced"]

ATTEMPTS = 5
"""How often the function is invoked again."""
EACH_OF_SAME = 4
"""Of so many SIGTERMs after which the handler passes the same lines, one has a second one at each of these."""
SHARDS = 2
START = 1_800_000_000.0
MAIN = threading.main_thread()

PASSED = mmap.mmap(-1, 16)
"""How many lines were passed, and the last one: of a forked process, for this one."""
LIBC = ctypes.CDLL(None)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long
TRACEME, SYSCALL = 0, 24

Failure = tuple[int, str, str]
"""Line, how it was interrupted, class of the outcome."""


# The points: what the rewritten source calls


@dataclass
class Plan:
    """What interrupts the first event of a run. Points count from 1; 0 is none."""

    how: str = ""
    number: int = 0
    """At the n-th point of that kind."""
    second: int = 0
    """After SIGTERM: SIGKILL at the n-th line since."""
    again: int = 0
    """After SIGTERM: another one at the n-th point since."""
    cold: bool = False
    """The instance ends with the event, however that ends."""


@dataclass
class Run:
    """One event: the points that it has passed, by their lines, and when SIGTERM came."""

    plan: Plan
    lines: list[int] = field(default_factory=list)
    graceful: list[int] = field(default_factory=list)
    signalled_at: float | None = None
    lines_after: list[int] = field(default_factory=list)
    graceful_after: list[int] = field(default_factory=list)


run = Run(Plan())


def before(line: int) -> None:
    """The point before a line: a forced termination may come here."""
    if threading.current_thread() is not MAIN:
        return
    run.lines.append(line)
    PASSED[:] = struct.pack("2q", len(run.lines), line)
    if run.plan.how == "forced" and len(run.lines) == run.plan.number:
        os.kill(os.getpid(), signal.SIGKILL)
    if run.signalled_at is not None:
        run.lines_after.append(line)
        if len(run.lines_after) == run.plan.second:
            os.kill(os.getpid(), signal.SIGKILL)


def takes_signals(line: int) -> None:
    """A point at which Python takes a signal: the listener runs here, and what it raises comes out here."""
    if threading.current_thread() is not MAIN:
        return
    run.graceful.append(line)
    if run.signalled_at is None:
        if run.plan.how == "graceful" and len(run.graceful) == run.plan.number:
            run.signalled_at = clock.now
            terminate()
    else:
        run.graceful_after.append(line)
        if len(run.graceful_after) == run.plan.again:
            terminate()


def terminate() -> None:
    listener = signal.getsignal(signal.SIGTERM)
    if listener == signal.SIG_DFL:
        os.kill(os.getpid(), signal.SIGKILL)  # nothing is flushed and nothing is run: as SIGTERM does to it
    if callable(listener):
        listener(signal.SIGTERM, sys._getframe(2))


def called(line: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """What *line* calls: after a function of another file, Python takes signals."""
    code = getattr(function, "__code__", None)
    if isinstance(code, types.CodeType) and code.co_filename == FILE[0]:
        return function

    def call(*args: Any, **keywords: Any) -> Any:
        result = function(*args, **keywords)
        takes_signals(line)
        return result

    return call


class Passes:
    """The head of a loop: its back edge takes signals, and then its line is passed again.

    A ``while`` jumps back before its condition on Python 3.14, and behind it, if it holds, on those before. Both are
    points here, so that the windows of the set do not depend on it.
    """

    def __init__(self, line: int, items: Any = None) -> None:
        self.line = line
        self.items = items
        self.first = True

    def head(self) -> bool:
        if not self.first:
            takes_signals(self.line)
            before(self.line)
        return True

    def holds(self) -> bool:
        if not self.first:
            takes_signals(self.line)
        self.first = False
        return True

    def __iter__(self) -> Iterator[Any]:
        self.items = iter(self.items)
        return self

    def __next__(self) -> Any:
        self.head()
        self.first = False
        return next(self.items)

    def __aiter__(self) -> Any:
        self.items = aiter(self.items)
        return self

    async def __anext__(self) -> Any:
        self.head()
        self.first = False
        return await anext(self.items)


class Managed:
    """A context manager: its exit passes the line of the `with` again, and is a call of it."""

    def __init__(self, line: int, manager: Any) -> None:
        self.line = line
        self.manager = manager

    def __enter__(self) -> Any:
        return type(self.manager).__enter__(self.manager)

    def __exit__(self, *raised: Any) -> Any:
        before(self.line)
        leave = type(self.manager).__exit__
        if raised[0] is not None:
            return leave(self.manager, *raised)
        return called(self.line, leave)(self.manager, *raised)

    async def __aenter__(self) -> Any:
        return await type(self.manager).__aenter__(self.manager)

    async def __aexit__(self, *raised: Any) -> Any:
        before(self.line)
        return await type(self.manager).__aexit__(self.manager, *raised)


def matched(line: int, kind: Any) -> Any:
    """What an `except` catches: its line is passed when an exception comes to it."""
    before(line)
    return kind


FILE = [""]
"""The file of the handler."""
POINTS = {
    "__before__": before,
    "__takes_signals__": takes_signals,
    "__called__": called,
    "__Passes__": Passes,
    "__Managed__": Managed,
    "__matched__": matched,
}


# The rewritten source


def point(name: str, line: int, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [ast.Constant(line), *arguments], [])


class Points(ast.NodeTransformer):
    """Put the points into the functions of a module; its top level runs when it is imported, and has none."""

    def __init__(self) -> None:
        self.in_function = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self.function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.function(node)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        outer, self.in_function = self.in_function, True
        node.body = self.block(node.body)
        self.in_function = outer
        first = next(index for index, each in enumerate(node.body) if not is_silent(each))
        line = node.body[first + 1].lineno  # behind its point
        node.body.insert(first, at(ast.Expr(point("__takes_signals__", line)), line))
        return node

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """A block of statements, each with its point before it."""
        found: list[ast.stmt] = []
        for statement in statements:
            if is_silent(statement):
                found.append(statement)
                continue
            line = statement.lineno
            found.append(at(ast.Expr(point("__before__", line)), line))
            if isinstance(statement, ast.While):
                loop = f"__loop_{line}__"
                entered = ast.Assign([ast.Name(loop, ast.Store())], point("__Passes__", line))
                found.append(at(entered, line))
            found.append(self.visit(statement))
        return found

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt) and self.in_function:
                setattr(node, name, self.block(value))
            elif isinstance(value, list):
                setattr(node, name, [self.visit(each) if isinstance(each, ast.AST) else each for each in value])
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if self.in_function:
            node.func = at(point("__called__", node.lineno, node.func), node.lineno)
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        return self.loop(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.loop(node)

    def loop(self, node: ast.For | ast.AsyncFor) -> ast.AST:
        self.generic_visit(node)
        node.iter = at(point("__Passes__", node.lineno, node.iter), node.lineno)
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        loop = ast.Name(f"__loop_{node.lineno}__", ast.Load())
        head, holds = (ast.Call(ast.Attribute(loop, name, ast.Load()), [], []) for name in ("head", "holds"))
        node.test = at(ast.BoolOp(ast.And(), [head, node.test, holds]), node.lineno)
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        return self.context(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.context(node)

    def context(self, node: ast.With | ast.AsyncWith) -> ast.AST:
        self.generic_visit(node)
        (item,) = node.items
        item.context_expr = at(point("__Managed__", node.lineno, item.context_expr), node.lineno)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        assert node.type is not None, "a bare except has no place for a point"
        node.type = at(point("__matched__", node.lineno, node.type), node.lineno)
        return node


def is_silent(statement: ast.stmt) -> bool:
    """Whether no line is passed for it: a docstring, or a declaration."""
    if isinstance(statement, ast.Global | ast.Nonlocal):
        return True
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def at(node: Any, line: int) -> Any:
    """*node*, which was made here, with the line that it stands for."""
    for each in ast.walk(node):
        if isinstance(each, ast.expr | ast.stmt) and not hasattr(each, "lineno"):
            each.lineno = each.end_lineno = line
            each.col_offset = each.end_col_offset = 0
    return node


def rewritten(path: Path) -> types.CodeType:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr | ast.Assign | ast.Return | ast.AugAssign) and not is_silent(node):
            assert node.lineno == node.end_lineno, f"{path.name}:{node.lineno}: a statement has one line here"
    return compile(ast.fix_missing_locations(Points().visit(tree)), str(path), "exec")


# Simulated time


class Clock:
    """Simulated time: it moves when the main thread sleeps, or waits for a thread; computing takes none."""

    def __init__(self) -> None:
        self.now = START
        self.sleepers: list[tuple[float, threading.Event]] = []
        self.parked = threading.Semaphore(0)
        """Released by a thread that sleeps or ends, and so lets the main thread go on."""

    def sleep(self, seconds: float) -> None:
        if threading.current_thread() is MAIN:
            self.move_to(self.now + seconds)
            return
        wake = threading.Event()
        self.sleepers.append((self.now + seconds, wake))
        self.parked.release()
        wake.wait()

    def move_to(self, due: float) -> None:
        """Let each thread that is due by then run until it sleeps or ends, one after the other."""
        while self.sleepers and min(self.sleepers, key=first)[0] <= due:
            self.wake_next()
        self.now = due

    def wake_next(self) -> None:
        due, wake = min(self.sleepers, key=first)
        self.sleepers.remove((due, wake))
        self.now = max(self.now, due)
        wake.set()
        self.parked.acquire()

    def install(self) -> None:
        start, join = threading.Thread.start, threading.Thread.join

        def started(thread: threading.Thread) -> None:
            work = thread.run

            def work_and_park() -> None:
                try:
                    work()
                finally:
                    self.parked.release()

            thread.run = work_and_park  # type: ignore[method-assign]
            start(thread)
            self.parked.acquire()  # until it sleeps or ends

        def joined(thread: threading.Thread, timeout: float | None = None) -> None:
            assert timeout is None, "the model waits for a thread without a timeout"
            while self.sleepers and thread.is_alive():
                self.wake_next()
            join(thread)

        threading.Thread.start = started  # type: ignore[assignment, method-assign]
        threading.Thread.join = joined  # type: ignore[assignment, method-assign]
        time.sleep = self.sleep  # type: ignore[assignment]
        time.time = time.monotonic = time.perf_counter = lambda: self.now


def first(sleeper: tuple[float, threading.Event]) -> float:
    return sleeper[0]


clock = Clock()


# One event, and those after it


@dataclass(frozen=True)
class Place:
    """The directories of one run: what survives, what is an instance's own, and what the model notes beside them."""

    path: Path

    @property
    def out(self) -> Path:
        return self.path / "out"

    @property
    def notes(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def records(self) -> Path:
        return self.path / "records.jsonl"

    def events(self) -> list[dict[str, Any]]:
        return read_lines(self.notes)


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def append(path: Path, value: Any) -> None:
    """Add one line in one write: a kill leaves all of it or nothing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, json.dumps(value).encode() + b"\n")
    os.close(descriptor)


class Instance:
    """A process that is forked for a cold start, and runs events until one does not end with a normal return."""

    def __init__(self, code: types.CodeType, payload: dict[str, Any], place: Place) -> None:
        self.code = code
        self.payload = payload
        self.place = place
        self.changes: list[tuple[int, int]] = []
        """Where a run stood that was stopped at system calls, at each change of the directory."""

    def start(self, plan: Plan, done: Callable[[dict[str, Any]], bool]) -> None:
        """Fork it, and wait for its end. It notes each event that ends while it lives."""
        pid = os.fork()
        if pid == 0:
            try:
                self.live(plan, done)
            except BaseException as error:
                append(self.place.notes, {"broken": repr(error)})
            finally:
                os._exit(0)
        if plan.how == "effect":
            self.changes = changes(pid, self.place.out, plan.number)
        else:
            os.waitpid(pid, 0)

    def live(self, plan: Plan, done: Callable[[dict[str, Any]], bool]) -> None:
        global run
        own = Path(tempfile.mkdtemp(dir=self.place.path, prefix="tmp-"))
        os.environ |= {"OUT": str(self.place.out), "TMPDIR": str(own)}
        tempfile.tempdir = None
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        inside = importlib.import_module("pytest_scf_async.inside")
        inside.record = lambda name, /, **fields: append(self.place.records, [name, fields])  # type: ignore[attr-defined]
        clock.install()
        module = types.ModuleType("handler")
        vars(module).update(POINTS, __file__=FILE[0])
        exec(self.code, module.__dict__)  # noqa: S102
        if plan.how == "effect":
            LIBC.ptrace(TRACEME, 0, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
        while len(self.place.events()) <= ATTEMPTS:
            run = Run(plan)
            event = self.invoke(module.main_handler)
            append(self.place.notes, event)
            if event["status"] != "FINISHED" or done(event) or plan.cold:
                return
            plan = Plan()

    def invoke(self, handler: Callable[..., Any]) -> dict[str, Any]:
        status, result = "FINISHED", None
        try:
            result = json.loads(json.dumps(handler(dict(self.payload), {})))
        except Exception:
            status = "FAILED"
        except BaseException:
            status = "EXITED"
        facts = {"status": status, "result": result, "lines": run.lines, "graceful": run.graceful}
        if run.signalled_at is not None:
            facts |= {"lines_after": run.lines_after, "graceful_after": run.graceful_after}
            facts["took"] = clock.now - run.signalled_at
        return facts


def changes(pid: int, directory: Path, number: int) -> list[tuple[int, int]]:
    """How many lines the child *pid* has passed at each change of *directory*, and which was the last of them.

    It is killed at the change of that *number*; at 0 it goes on to its end.
    """
    found: list[tuple[int, int]] = []
    last = contents(directory)
    _, status = os.waitpid(pid, 0)
    while os.WIFSTOPPED(status):
        now = contents(directory)
        if now != last:
            last = now
            found.append(struct.unpack("2q", PASSED[:]))
            if len(found) == number:
                os.kill(pid, signal.SIGKILL)
        LIBC.ptrace(SYSCALL, pid, None, None)
        _, status = os.waitpid(pid, 0)
    return found


def contents(directory: Path) -> dict[str, object]:
    """What is in *directory*, by name."""
    found: dict[str, object] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        else:
            found[str(path)] = b"" if path.is_dir() else path.read_bytes()
    return found


# Effects, and what became of them


def effects(place: Place) -> dict[str, Any]:
    """Records, rows and lines of files, as lists; a name each."""
    found: dict[str, Any] = {"records": sorted(json.dumps(each) for each in read_lines(place.records))}
    for path in sorted(place.out.rglob("*")):
        name = str(path.relative_to(place.out))
        if path.is_symlink():
            found[name] = [os.readlink(path)]
            continue
        if path.is_dir() or name.endswith(("-journal", "-wal", "-shm")):
            continue
        content = path.read_bytes()
        if content.startswith(b"SQLite format 3\0"):
            found[name] = rows_of(path)
        else:
            found[name] = content.decode(errors="surrogateescape").splitlines(keepends=True)
    return found


def rows_of(path: Path) -> list[str]:
    database = sqlite3.connect(path)
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    rows = [(table, row) for (table,) in tables for row in database.execute(f"SELECT * FROM {table}")]
    database.close()
    return sorted(map(repr, rows))


def compare(expected: dict[str, list[str]], found: dict[str, list[str]]) -> set[str]:
    classes = set()
    for name in expected.keys() | found.keys():
        if name not in expected:
            classes.add("left behind")
        elif name not in found:
            classes.add("lost")
        elif found[name] != expected[name]:
            missing = Counter(expected[name]) - Counter(found[name])
            extra = Counter(found[name]) - Counter(expected[name])
            if missing and not extra:
                classes.add("lost")
            elif extra and not missing and extra.keys() <= set(expected[name]):
                classes.add("doubled")
            else:
                classes.add("diverged")
    return classes


class Model:
    """The sweep of one handler."""

    def __init__(self, path: Path, payload: dict[str, Any], within: float | None, directory: Path) -> None:
        FILE[0] = str(path)
        self.code = rewritten(path)
        self.payload = payload
        self.within = within
        self.directory = directory
        self.count = 0
        self.undisturbed: dict[str, Any] = {}
        self.expected: dict[str, Any] = {}
        place = self.new_place()
        Instance(self.code, payload, place).start(Plan(), lambda _: True)
        (self.undisturbed,) = place.events()
        assert self.undisturbed.get("status") == "FINISHED", self.undisturbed
        self.expected = effects(place)

    def new_place(self) -> Place:
        self.count += 1
        place = Place(self.directory / str(self.count))
        place.out.mkdir(parents=True)
        return place

    def done(self, event: dict[str, Any]) -> bool:
        return bool(event["status"] == "FINISHED" and event["result"] == self.undisturbed["result"])

    def outcome(self, plan: Plan) -> tuple[set[str], dict[str, Any]]:
        """The classes of one interruption, and the facts of the interrupted event."""
        place = self.new_place()
        instance = Instance(self.code, self.payload, place)
        instance.start(plan, self.done)
        if not place.events():
            append(place.notes, {"status": "KILLED"})
        while not self.done(place.events()[-1]) and len(place.events()) <= ATTEMPTS:
            count = len(place.events())
            instance.start(Plan(), self.done)
            assert len(place.events()) > count, "an event that nothing interrupts has an end"
        events = place.events()
        assert not any("broken" in event for event in events), events
        classes = set()
        if self.done(events[-1]):
            classes |= compare(self.expected, effects(place))
        else:
            classes.add("diverged" if events[-1]["status"] == "FINISHED" else "never finishes")
        if self.within is not None and events[0].get("took", 0) > self.within:
            classes.add("late")
        shutil.rmtree(place.path)
        return classes, events[0]

    def failing(self, how: tuple[str, ...], shard: int) -> set[Failure]:
        failures: set[Failure] = set()
        if "forced" in how:
            lines = self.undisturbed["lines"]
            for number in range(shard, len(lines), SHARDS):
                classes, _ = self.outcome(Plan("forced", number + 1))
                failures |= {(lines[number], "forced", each) for each in classes}
        if "effect" in how:
            failures |= self.failing_between_calls(shard)
        if set(how) - {"forced", "effect"}:
            lines = self.undisturbed["graceful"]
            met: Counter[tuple[Any, ...]] = Counter()
            for number in range(shard, len(lines), SHARDS):
                classes, event = self.outcome(Plan("graceful", number + 1))
                if "graceful" in how:
                    failures |= {(lines[number], "graceful", each) for each in classes}
                if "cold" in how and event["status"] == "FINISHED" and not self.done(event):
                    classes, _ = self.outcome(Plan("graceful", number + 1, cold=True))
                    failures |= {(lines[number], "cold", each) for each in classes}
                for kind in {"second", "again"} & set(how):
                    after = event.get("lines_after" if kind == "second" else "graceful_after", [])
                    way = kind, tuple(after)
                    met[way] += 1
                    if met[way] % EACH_OF_SAME != 1:
                        continue
                    for count, line in enumerate(after, 1):
                        classes, _ = self.outcome(Plan("graceful", number + 1, **{kind: count}))
                        failures |= {(line, kind, each) for each in classes}
        return failures

    def failing_between_calls(self, shard: int) -> set[Failure]:
        """Kills at each change of the directory after which another one comes before the next line."""
        place = self.new_place()
        instance = Instance(self.code, self.payload, place)
        instance.start(Plan("effect"), self.done)
        assert effects(place) == self.expected
        failures: set[Failure] = set()
        for number in range(shard, len(instance.changes) - 1, SHARDS):
            passed, line = instance.changes[number]
            if instance.changes[number + 1][0] == passed:
                classes, _ = self.outcome(Plan("effect", number + 1))
                failures |= {(line, "effect", each) for each in classes}
        return failures


def lines_passed(path: Path, payload: dict[str, Any]) -> list[int]:
    """The lines that the rewritten handler passes undisturbed, in their order."""
    return list(in_a_process(path, payload, ["--lines"])[0])


def lines_traced(path: Path, payload: dict[str, Any]) -> list[int]:
    """The lines of the handler, as it is, of which CPython tells a trace function."""
    return list(in_a_process(path, payload, ["--traced"])[0])


def failing(path: Path, payload: dict[str, Any], how: tuple[str, ...], within: float | None) -> set[Failure]:
    """Each line at which an interruption ends badly, with how it was interrupted and how it ends."""
    arguments = ["--how", *how, "--within", json.dumps(within)]
    found = in_a_process(path, payload, *([*arguments, "--shard", str(shard)] for shard in range(SHARDS)))
    return {(line, how, outcome) for failures in found for line, how, outcome in failures}


def in_a_process(path: Path, payload: dict[str, Any], *commands: list[str]) -> list[Any]:
    """What this file says to each command, in a process of its own, all at once."""
    server = server_of_forks()
    assert server.stdin is not None
    assert server.stdout is not None
    print(json.dumps([[str(path), "--payload", json.dumps(payload), *each] for each in commands]), file=server.stdin)
    server.stdin.flush()
    answers = json.loads(server.stdout.readline())
    assert all(answers), f"{path.name}: the model failed; see its traceback"
    return [json.loads(answer) for answer in answers]


@functools.cache
def server_of_forks() -> subprocess.Popen[str]:
    """This file as a process that is forked for each command: a process that forks has to be small.

    It ends when its input does, with this process.
    """
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def serve_forks() -> None:
    """Answer each line, a list of commands, with what they say; an empty text for one that has failed."""
    os.nice(10)
    importlib.import_module("pytest_scf_async.inside")
    for line in sys.stdin:
        forks = []
        for command in json.loads(line):
            output = os.memfd_create("output")
            pid = os.fork()
            if pid == 0:
                be_a_command(command, output)
            forks.append((pid, output))
        answers = []
        for pid, output in forks:
            _, status = os.waitpid(pid, 0)
            with open(output, "rb") as file:
                file.seek(0)
                answers.append("" if status else file.read().decode())
        print(json.dumps(answers), flush=True)


def be_a_command(command: list[str], output: int) -> NoReturn:
    global PASSED
    PASSED = mmap.mmap(-1, 16)  # not that of the other commands
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.close(output)
    try:
        main(command)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def trace(path: Path, payload: dict[str, Any]) -> list[int]:
    found: list[int] = []

    def traced(frame: types.FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != str(path) or frame.f_code.co_name == "<module>":
            return None
        if event == "line":
            found.append(frame.f_lineno)
        return traced

    module = types.ModuleType("handler")
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as own:
        os.environ |= {"OUT": directory, "TMPDIR": own}
        tempfile.tempdir = None
        output = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)  # noqa: S102
        clock.install()
        sys.settrace(traced)
        module.main_handler(payload, {})
        sys.settrace(None)
        sys.stdout.flush()
        os.dup2(output, 1)
    return found


def main(command: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--payload", type=json.loads)
    parser.add_argument("--how", nargs="*", default=[])
    parser.add_argument("--within", type=json.loads)
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--lines", action="store_true")
    parser.add_argument("--traced", action="store_true")
    given = parser.parse_args(command)
    for node in ast.parse(given.path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):  # once, not in each process
            for name in node.names:
                importlib.import_module(name.name)
    if given.traced:
        print(json.dumps(trace(given.path, given.payload)))
        return
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a commit of SQLite waits for a disk
    with tempfile.TemporaryDirectory(prefix="model-", dir=memory) as directory:
        model = Model(given.path, given.payload, given.within, Path(directory))
        if given.lines:
            print(json.dumps(model.undisturbed["lines"]))
        else:
            print(json.dumps(sorted(model.failing(tuple(given.how), given.shard))))


if __name__ == "__main__":
    serve_forks()
