"""Collect the points at which the main thread's user code can be interrupted, for the sweep.

Points are lines of user code and the places where this Python looks for signals (``signal_checks``), in the order in
which the main thread comes to them, each pass on its own. They are reported in batches, as a message for each would
take longer than the code itself.
"""

from __future__ import annotations

import ast
import fnmatch
import os
import signal
import warnings
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, NamedTuple

from ...protocol import messages
from ...protocol.statements import Owner, owner_of, statements_in
from ...python import clock, process_ends
from ...python.gates import bytecode
from ...python.patches import children, signals
from ...python.scheduler.scheduler import scheduler
from . import functions, libraries, signal_checks

BATCH = 256
"""How many points one message has."""
SLOW_NS = 100_000_000
"""A line at the top of a module that takes so long is reported."""


class Stop(NamedTuple):
    """One instruction that is a point."""

    kind: str
    line: int
    nth: int
    call: int
    calls_python: bool
    repeats: bool = False
    """A loop comes back to it, within a statement that has begun at another instruction."""


class Files:
    """The files of user code: those that are *named*, and what the collector takes for user code."""

    def __init__(self, named: frozenset[str], collector: Collector) -> None:
        self._known: dict[str, bool] = dict.fromkeys(named, True)
        self._collector = collector

    def __bool__(self) -> bool:
        return True

    def __contains__(self, file: Any) -> bool:
        known = self._known.get(file)
        if known is None:
            known = self._known[file] = self._collector.is_users(file)
        return known


class Collector:
    """Reports points until `end`."""

    def __init__(self, wanted: messages.Collect) -> None:
        self.wanted = wanted
        self._roots = tuple(os.path.join(root, "") for root in wanted.roots)
        self._statements: dict[str, dict[Owner, list[tuple[int, int]]]] = {}
        """The statements of each owner, by file: the first and the last line of each."""
        self._stops: dict[CodeType, dict[int, Stop]] = {}
        self._passes: dict[tuple[str, str, int, int], int] = {}
        """How often each instruction was passed; code objects that are equal in all of that count together."""
        self._turns: dict[tuple[str, int], int] = {}
        """How often each line was passed, as ``run_to`` counts."""
        self._at: dict[int, int] = {}
        """The line at which each frame was last, by the frame's identity."""
        self._python_calls: dict[int, int] = {}
        """Where each frame has last called a function of user code, by the frame's identity: an offset in the call."""
        self._rows: list[list[Any]] = []
        self._top: tuple[str, int] | None = None
        """The line at the top of a module that is being executed, ..."""
        self._since_ns = 0
        """... and since when, on the real clock."""
        self._slow: list[list[Any]] = []
        self.libraries = libraries.Places(self._in_library, self._append) if wanted.functions else None
        self._of_user = Files(frozenset(), self)
        """All of user code. It remembers which files that is, as each call in a library asks about all callers."""
        process_ends.do_first(lambda _: self.report())

    # -- what is a point -----------------------------------------------------------------------------------------------

    def files(self, named: frozenset[str]) -> Files:
        """The files whose code is looked at: the *named* ones, and user code."""
        return Files(named, self)

    def followed(self, follow: Callable[[], None]) -> tuple[Callable[[], None], frozenset[CodeType]]:
        """What each thread is to call when it resumes, in place of *follow*, and callbacks of the interpreter in it."""
        if self.wanted.functions:
            follow = functions.begin(self._of_user, follow)
        return follow, functions.CALLBACKS  # which go on after an interruption

    def is_users(self, file: str) -> bool:
        """Whether the code of *file* is the user's."""
        root = next((root for root in self._roots if file.startswith(root)), None)
        if root is None:
            return False
        names = file[len(root) :], os.path.basename(file)
        return not any(fnmatch.fnmatch(name, pattern) for pattern in self.wanted.exclude for name in names)

    def offsets(self, code: CodeType) -> frozenset[int]:
        """The instructions of *code* that are points."""
        if not self.is_users(code.co_filename):
            return frozenset()
        stops = self._stops.get(code)
        if stops is None:
            stops = self._stops[code] = self._found_in(code)
        return frozenset(stops)

    def _found_in(self, code: CodeType) -> dict[int, Stop]:
        found: dict[int, Stop] = {}
        for offset, check in signal_checks.signal_checks(code).items():
            found[offset] = Stop("taken", check.line, check.nth, check.call, check.calls_python)
        statements = self._statements.get(code.co_filename)
        if statements is None:
            statements = self._statements[code.co_filename] = _statements_of(code.co_filename)
        for low, high in statements.get(owner_of(code), ()):
            offsets = sorted(bytecode.entries(code, low, low, high))
            for offset in offsets:
                stop = found.get(offset, Stop("line", low, 0, -1, False))
                kind = "line" if stop.kind == "line" else "both"
                found[offset] = stop._replace(kind=kind, line=low, repeats=offset != offsets[0])
        return found

    # -- what user code does -------------------------------------------------------------------------------------------

    def calls(self, caller: int, offset: int, callee: object) -> None:
        """The frame with the identity *caller* calls *callee*."""
        if isinstance(callee, MethodType):
            callee = callee.__func__
        if isinstance(callee, FunctionType) and self.is_users(callee.__code__.co_filename):
            self._python_calls[caller] = offset
        else:
            self._python_calls.pop(caller, None)

    def calls_python(self, caller: FrameType) -> None:
        """User code has called a function of its own, perhaps by way of code in C."""
        self._python_calls[id(caller)] = caller.f_lasti

    def passes(self, code: CodeType, offset: int, frame: int) -> None:
        """The main thread is before the instruction at *offset*, in the frame with that identity."""
        stop = self._stops[code][offset]
        key = (code.co_filename, code.co_name, code.co_firstlineno, offset)
        number = self._passes[key] = self._passes.get(key, 0) + 1
        if stop.calls_python and stop.call <= self._python_calls.get(frame, -1) < offset:
            return
        kind, turn = stop.kind, 0
        if stop.repeats and self._at.get(frame) == stop.line:  # a loop's first turn: the statement has begun before
            if kind == "line":
                return
            kind = "taken"
        if code.co_name == "<module>":
            self._executes((code.co_filename, stop.line))
        elif self._top is not None and scheduler.is_initialised:
            self._executes(None)
        if kind != "taken":
            self._at[frame] = stop.line
            at = code.co_filename, stop.line
            turn = self._turns[at] = self._turns.get(at, 0) + 1
        self._add(
            messages.Point(
                kind,
                clock.now_us(),
                number,
                code.co_filename,
                stop.line,
                stop.nth,
                turn,
                code.co_name,
                code.co_firstlineno,
                offset,
            )
        )

    def _executes(self, top: tuple[str, int] | None) -> None:
        """The line *top* of a module begins; None: that of a function does, once all modules are imported."""
        if top != self._top:
            now_ns = clock.real_monotonic_ns()
            if self._top is not None and now_ns - self._since_ns >= SLOW_NS:
                self._slow.append([*self._top, (now_ns - self._since_ns) / 1e9])
            self._top, self._since_ns = top, now_ns

    def occurs(self, kind: str, number: int, file: str, line: int, text: str, *, direct: bool) -> None:
        """Something of a *kind* of gates has occurred, for that *number* of times, in that line of user code.

        Where it is *direct*, user code itself has made the call, and no library.
        """
        self._add(messages.Point(kind, clock.now_us(), number, file, line, int(direct), text=text))

    def _in_library(self, number: int, nth: int, frame: FrameType) -> list[object]:
        """The row of a place in a library, which code in *frame* is at."""
        at: FrameType | None = frame
        while at is not None and at.f_code.co_filename not in self._of_user:
            at = at.f_back
        file, line = ("", 0) if at is None else (at.f_code.co_filename, at.f_lineno)
        function = scheduler.control.function.partition("@")[0]
        return _row(messages.Point("library", clock.now_us(), number, file, line, nth, text=function))

    def _add(self, point: messages.Point) -> None:
        if self.libraries is not None:
            self.libraries.begin_anew()
        self._append(_row(point))

    def _append(self, row: list[object]) -> None:
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            self.report()

    def report(self) -> None:
        """Send what has not been reported."""
        if self._rows and scheduler.active:
            rows, self._rows = self._rows, []
            slow, self._slow = self._slow, []
            scheduler.send(messages.pack(messages.Points(rows, slow or None)))


def _row(point: messages.Point) -> list[object]:
    """The *point*, with what is known at this moment."""
    control = scheduler.control
    at_default = children.disposition(signal.SIGTERM) == signal.SIG_DFL
    seen = control.effects, control.recorded, at_default, signals.changes, scheduler.is_initialised
    return [*point[: -len(seen)], *seen]


def _statements_of(file: str) -> dict[Owner, list[tuple[int, int]]]:
    """The statements in *file*, by owner: first and last line; nothing of a file that cannot be read."""
    found: dict[Owner, list[tuple[int, int]]] = {}
    try:
        with open(file, "rb") as source, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.read(), file)
    except (OSError, SyntaxError, ValueError):
        return found
    for owner, low, high in statements_in(tree):
        found.setdefault(owner, []).append((low, high))
    return found
