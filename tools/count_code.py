"""Counts the lines of code of the kernel and of each wing: no blank lines, no comments, no docstrings.

The kernel may have LIMIT lines, which only falls. A class with many methods and a function with many lines do too much,
or are one concept that would only be harder to read in parts: each has its sentence in LONG_CLASSES or LONG_FUNCTIONS,
which only get shorter. What is the kernel's and what is a wing's is said in rooms.py.
Run: python tools/count_code.py [the package's directory]
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import rooms

LIMIT = 25_214
"""Lines of code that the kernel may have. It rose twice, by 33 and 30, for faults: which thread takes a signal, a
thread of the test that ends while it is looked at, and the wait that a signal to another thread interrupted; and by 59
for the tasks that can end a wait of asyncio's."""
METHODS = 40
"""How many a class may have without a sentence."""
LINES = 60
"""How many a function may have without a sentence, its docstring and its comments included."""

ENTRIES = 23
"""How many LONG_CLASSES and LONG_FUNCTIONS may have together; this, too, only falls."""
SLACK = 100
"""How far the kernel may be below LIMIT before that has to come down."""

LONG_CLASSES: dict[str, str] = {
    "python/scheduler/scheduler.py:Scheduler": "one lock guards the threads, waiters and run queue, so the core"
    " stays in one class; to be cut: gates, the terminal, C code and the gateway are features in it",
    "instances/instance.py:Instance": "to be cut: the handle of a process, the reading of its output and what the"
    " scheduler notes of it (leases, alarms, effects) are three concepts",
    "lockstep/event.py:Event": "one method a fact that happens to an event; to be cut: the notes of waits and the lines"
    " of the log are concepts of their own",
    "lockstep/scheduler.py:Lockstep": "one lock guards who runs and the time, so the core stays in one class; to be"
    " cut: what the poller's instances call (instance_*) and what a call may do",
    "runtime.py:ScfRuntime": "to be cut: deployments (deploy*, _update, _publish, _delete) are a concept of their own",
    "programs/supervisor/supervisor.py:Supervisor": "one method for each message; to be cut: its reports and its gates"
    " are concepts of their own",
    "programs/supervisor/tree.py:Tree": "to be cut: what each system call means is in the class that follows the"
    " processes",
}
"""By ``file:class``: what is to be done about it, or why it stays as it is."""
LONG_FUNCTIONS: dict[str, str] = {
    "zygote/reaper.py:supervise": "half of it is its docstring; both sides of the fork belong together",
    "python/scheduler/scheduler.py:Scheduler.attach": "one attribute a line, each with what it means",
    "errors.py:keywords_named": "a decorator with two inner functions, which share what it reads of the signature once",
    "instances/pool.py:Pool._spawn": "to be cut: each feature of an instance (coverage, recordings, relayed ports) has"
    " its own lines here",
    "instances/zygote.py:Zygote.__init__": "to be cut: the start of the process is a step of its own",
    "marker.py:scf_function": "its signature and docstring, which `make options` writes; six lines are code",
    "model/trace.py:StatusTrace.list_events": "one operation of the platform: each filter is three lines",
    "report/timeline.py:entry_text": "a table: one case and one line an entry",
    "runtime.py:ScfRuntime.__init__": "to be cut: what only sweeps and the endpoint need goes with them",
    "runtime.py:ScfRuntime.deploy": "its signature and docstring, which `make options` writes",
    "programs/runtimes/calls.py:ImageCalls.deploy_image": "its signature and docstring, which `make options` writes",
    "endpoint/operations/functions.py:OperationsOnFunctions.create_function": ""
    "its signature, its docstring and a table of what is given; nine lines are code",
    "sweep/calls.py:SweepCalls.sweep": "its signature and docstring; forty lines are code",
    "runtime.py:ScfRuntime._accept": "to be cut: it checks an invocation, routes it and makes its event",
    "programs/supervisor/supervisor.py:Supervisor.__init__": "one attribute a line, each with what it means",
    "sweep/command.py:add_sweep": "a table in argparse's form: one call an option",
}
"""By ``file:function``: the same."""

NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def lines_of_code(text: str) -> int:
    """How many lines of a module have code on them; a text that stands alone is a docstring."""
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            code.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(code)


def long_parts(inner: str, tree: ast.Module) -> Iterator[tuple[str, int, str, int]]:
    """The classes and functions of a module that need a sentence: what, line, name in its list, and how many."""
    for node, name in _defined(tree, ""):
        if isinstance(node, ast.ClassDef):
            methods = {part.name for part in node.body if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))}
            if len(methods) > METHODS:
                yield "class", node.lineno, f"{inner}:{name}", len(methods)
        else:
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LINES:
                yield "function", node.lineno, f"{inner}:{name}", lines


def _defined(node: ast.AST, within: str) -> Iterator[tuple[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child, f"{within}{child.name}"
            yield from _defined(child, f"{within}{child.name}.")
        else:
            yield from _defined(child, within)


def counted(root: Path) -> Counter[str]:
    """The lines of code of the kernel and of each wing of the package in *root*."""
    found = Counter({rooms.KERNEL: 0})
    for path in sorted(root.rglob("*.py")):
        found[rooms.wing_of(path.relative_to(root).as_posix())] += lines_of_code(path.read_text(encoding="utf-8"))
    return found


def check(root: Path, kernel: int) -> list[str]:
    """Every violation in the package whose directory is *root* and whose kernel has so many lines of code."""
    found = []
    if kernel > LIMIT:
        found.append(f"the kernel has {kernel:,} lines of code, and LIMIT is {LIMIT:,}: it only falls.")
    lists: dict[str, tuple[str, Mapping[str, str]]] = {
        "class": ("methods", LONG_CLASSES),
        "function": ("lines", LONG_FUNCTIONS),
    }
    seen: set[str] = set()
    for path in sorted(root.rglob("*.py")):
        inner = path.relative_to(root).as_posix()
        for what, line, name, number in long_parts(inner, ast.parse(path.read_bytes(), filename=str(path))):
            seen.add(name)
            unit, known = lists[what]
            if name not in known:
                found.append(
                    f"{root.name}/{inner}:{line}: the {what} {name.partition(':')[2]} has {number} {unit}:"
                    f" shorten it, or say in LONG_{'CLASSES' if what == 'class' else 'FUNCTIONS'} why not."
                )
    if root.resolve() == rooms.TREE / rooms.PACKAGE:
        found += [
            f"{name} is listed, and is not that long: take it out."
            for _, known in lists.values()
            for name in known
            if name not in seen
        ]
        found += rooms.unused()
        entries = len(LONG_CLASSES) + len(LONG_FUNCTIONS)
        if entries != ENTRIES:
            found.append(
                f"LONG_CLASSES and LONG_FUNCTIONS have {entries} entries, and ENTRIES is {ENTRIES}: it only falls."
            )
        if kernel < LIMIT - SLACK:
            found.append(f"the kernel has {kernel:,} lines of code, and LIMIT is {LIMIT:,}: set it to {kernel:_}.")
    return found


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else rooms.TREE / rooms.PACKAGE
    if not root.is_dir() or not any(root.rglob("*.py")):
        print(f"count_code: no Python files in {root}", file=sys.stderr)
        return 2
    counts = counted(root)
    for room, number in counts.most_common():
        print(f"{number:7,}  {room}{f' (LIMIT {LIMIT:,})' if room == rooms.KERNEL else ''}")
    violations = check(root, counts[rooms.KERNEL])
    for violation in violations:
        print(violation)
    summary = f"{len(violations)} violations" if violations else "the kernel is within its limit"
    print(f"count_code: {summary}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
