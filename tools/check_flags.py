"""Holds that what a function sets for a while is unset by the same block, whatever is raised in between.

A flag that stays set after an exception has a call wait for ever, or a signal deferred, far from where it was raised.
What counts within one function, each on the same object:
- an assignment of ``True`` to an attribute, and behind it one of ``False``;
- one of anything else and, behind it in the same block, one of ``None``;
- a call of a pair of PAIRS (``begin_reading()``, ``end_reading()``; ``acquire()``, ``release()``), and its other half.

The second one has to stand in a ``finally``, and the first one inside of the ``try`` of that or in the statement right
before it: whatever stands between them may raise. What an ``except`` alone unsets is to stay where nothing is raised,
and where the second one is in another branch, nothing is set for a while.
Run: python tools/check_flags.py [the package's directory]
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "pytest_scf_async"
OWN_PACKAGE = Path(__file__).resolve().parent.parent / PACKAGE

PAIRS = (("begin", "end"), ("enter", "leave"), ("set", "clear"), ("acquire", "release"), ("suspend", "resume"))
"""Names of calls, or the words that they begin with, the first of which the second one undoes."""

KNOWN: dict[str, str] = {
    "python/patches/threads.py:_run:thread_table.begin()": "a thread that cannot begin has no scheduler to end in",
    "python/scheduler/scheduler.py:park:self.begin_watching()": "nothing is raised in between but where the"
    " stack is at its limit",
    "python/scheduler/scheduler.py:_run_pending_inside:waiter.suspended": "what a handler raises makes the wait"
    " over, and nobody looks at it again",
}
"""By ``file:function:what``: why it may all the same. The list only gets shorter."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Block = list[ast.stmt]


def _blocks(statement: ast.stmt) -> Iterator[tuple[str, Block]]:
    """The blocks of *statement*, each with the name of the field that it is."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(statement, name, None)
        if block and not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield name, block
    for handler in getattr(statement, "handlers", ()):
        yield "handler", handler.body
    for case in getattr(statement, "cases", ()):
        yield "case", case.body


def _words(statement: ast.stmt) -> Iterator[tuple[str, str, bool]]:
    """What *statement* itself sets (True) or unsets: the object, how, and which of both."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Attribute):
            constant = value.value if isinstance(value, ast.Constant) else ...
            if constant is True or constant is False:
                yield ast.unparse(target), "flag", constant
            else:
                yield ast.unparse(target), "value", constant is not None
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value.func
        if isinstance(call, ast.Attribute):
            match = re.fullmatch(r"_?([a-z]+?)(_\w+)?", call.attr)
            for first, second in PAIRS:
                if match is not None and match[1] in (first, second):
                    what = f"{ast.unparse(call.value)}.{first}{match[2] or ''}()"
                    yield what, "call", match[1] == first


def _unset_in(block: Block, what: tuple[str, str]) -> Iterator[tuple[ast.stmt, bool]]:
    """Where *what* is unset in *block*, and whether a ``finally`` does it."""
    for statement in block:
        if any((name, how) == what and not is_set for name, how, is_set in _words(statement)):
            yield statement, False
        for field, inner in _blocks(statement):
            if field == "handler":
                continue
            for found, safe in _unset_in(inner, what):
                yield found, safe or field == "finalbody"


def _set_again(block: Block, what: tuple[str, str]) -> bool:
    return any((name, how) == what and is_set for each in block for name, how, is_set in _words(each))


def problems(function: Function) -> Iterator[tuple[str, int, str]]:
    """What *function* sets and does not unset whatever happens: what, the line, and what is wrong."""
    yield from _in_block(function.body, [], function.name == "__exit__")


def _in_block(block: Block, after: list[tuple[Block, bool]], in_exit: bool) -> Iterator[tuple[str, int, str]]:
    """Look at *block*; *after* is what follows it, inner first, with whether it is the ``finally`` of a ``try``."""
    for number, statement in enumerate(block):
        rest = block[number + 1 :]
        for name, how, is_set in _words(statement):
            if is_set and not _set_again(rest, (name, how)):
                wrong = _wrong((name, how), rest, after)
                if wrong and not in_exit:
                    yield name, statement.lineno, wrong
        for field, inner in _blocks(statement):
            ends = [(statement.finalbody, True)] if isinstance(statement, ast.Try) and field != "finalbody" else []
            loops = isinstance(statement, (ast.For, ast.While, ast.AsyncFor))
            leaves = isinstance(inner[-1], (ast.Return, ast.Raise)) or (loops and isinstance(inner[-1], ast.Continue))
            yield from _in_block(inner, [*ends, *([] if leaves else [(rest, False), *after])], in_exit)


def _wrong(what: tuple[str, str], rest: Block, after: list[tuple[Block, bool]]) -> str:
    """What is wrong with how *what* is unset in what follows; empty: nothing."""
    if any(is_final and any(_unset_in(block, what)) for block, is_final in after):
        return ""  # it is set inside of the `try`
    outer = [] if what[1] == "value" else [block for block, _ in after]
    found = [each for block in (rest, *outer) for each in _unset_in(block, what)]
    if not found:
        return ""
    first = rest[0] if rest else next((block[0] for block, _ in after if block), None)
    if isinstance(first, ast.Try) and any(_unset_in(first.finalbody, what)):
        return ""
    where = ", ".join(str(statement.lineno) for statement, _ in found)
    if all(safe for _, safe in found):
        return f"is unset in a `finally` (line {where}) whose `try` begins later: begin it right there"
    return f"is unset in line {where}, outside of a `finally`: what is raised in between leaves it set"


def check(root: Path) -> list[str]:
    """The violations in the package at *root*, sorted."""
    found = []
    used = set()
    for path in sorted(root.rglob("*.py")):
        shown = path.relative_to(root).as_posix()
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for what, line, wrong in problems(function):
                place = f"{shown}:{function.name}:{what}"
                if place in KNOWN:
                    used.add(place)
                else:
                    found.append(f"{PACKAGE}/{shown}:{line}: {what} {wrong}.")
    gone = sorted(KNOWN.keys() - used) if root.resolve() == OWN_PACKAGE else []
    return found + [f"KNOWN has {place}, which is in order: take it out." for place in gone]


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else OWN_PACKAGE
    if not root.is_dir() or not any(root.rglob("*.py")):
        print(f"check_flags: no Python files in {root}", file=sys.stderr)
        return 2
    found = check(root)
    for line in found:
        print(line)
    print(f"check_flags: {len(found)} violations" if found else "check_flags: what is set is unset by the same block")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
