"""Holds what wings know of the kernel: the modules that OFFERED names, each with its reason, and nothing private.

A wing may import a module of the kernel that is in OFFERED, or below a room of it (with a slash behind it). One that is
not, and a row that no wing uses, are errors; so OFFERED is what wings need of the kernel, whole and no more.

A private name of the kernel (``_x`` of another object) is used by a wing only if a Protocol of the wing declares it: so
what a wing needs of the object that it is a part of, as operations of a runtime, stands in one place, with its types.
Run: python tools/check_wings.py [the package's directory]
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import rooms
from check_imports import OWN_PACKAGE, PACKAGE, Module

OFFERED: dict[str, str] = {
    # the four ways in
    "instances/runtimes/strategy": "Runtime: what differs by language",
    "instances/runtimes/choice": "the kinds of runtimes, and what a deployment has of one",
    "lockstep/features/feature": "Feature: what holds the clock, forbids a lease, or sees begins and ends of events",
    "instances/parts": "what a feature has in an instance beside user code",
    "stage": "Stage: a runtime for a run of a sweep",
    "wing_hooks": "what a wing does in a session of pytest",
    # what users have, and the way behind it
    "runtime": "ScfRuntime, on which the endpoint and the command of a sweep act as a test does",
    "function": "Function, the same; what it asks of invocations",
    "async_event": "AsyncEvent, and the payloads of events",
    "event_answers": "what List and Get answer, which the endpoint writes as the API does",
    "inner": "what is behind these objects: one file says all of it",
    "errors": "the errors that users get, and how calls are named in them",
    "options": "settings and keywords: one table, which calls of wings read, too",
    "clock": "the simulated clock, durations and dates",
    "session": "where a test's relative paths are looked up",
    "deployment": "a function's configuration of its keywords",
    # facts
    "model/": "what SCF is: pure data and rules, without I/O",
    "protocol/": "what processes say to each other, and texts and limits that both sides know",
    "linux/": "what the kernel of the machine is asked about processes, files and sockets",
    "report/cause": "the likely cause of a failure, which traces and findings repeat",
    "report/exceptions": "what an exception's text says is missing",
    "report/failure": "why an event failed, in lines, for the page of a trace",
    "report/limits": "how much of a timeline is shown",
    "report/teardown": "the sentence about a test that asked nothing",
    "report/test_directory": "where the files of a test are",
    "report/timeline": "the texts of a timeline's entries",
    "report/waits": "what a wait is called",
    # instances, for runtimes, features and operations
    "instances/instance": "Instance: what a feature and a runtime act on",
    "instances/state": "the facts that the scheduler applies to an instance",
    "instances/function_version": "a version of a function: what operations publish, and a sweep runs",
    "instances/code": "the code of a function: what a runtime runs, and operations copy",
    "instances/environment": "the variables that a runtime's instances have",
    "instances/packages": "how a zip is unpacked, and how large code may be",
    "instances/layers": "layers: where they are, and what is copied of them",
    "instances/interrupts": "where Ctrl-C may interrupt: a prompt, and the wait for a worker, not a clean-up",
    "instances/process_ends": "a bounded wait for the end of a process that a runtime has started",
    "instances/user_process": "the process of user code, where it is not the instance's own",
    "instances/sandbox": "where user code lies in an instance, which is cut from paths that are shown",
    "instances/pool": "the pool: which instance has a connection on which an answer is owed",
    "instances/zygote": "a worker of a sweep ends the zygote that it had, and its reapers",
    # the scheduler, for features and operations
    "lockstep/event": "Event: what a feature and an operation act on",
    "lockstep/calls": "a blocking call: what a feature is asked about, and an operation makes",
    "lockstep/scheduler": "its type: what operations declare of a runtime, and what is behind an event",
    "lockstep/places": "a line at which a sweep stops an event",
    # in the zygote and in instances
    "python/handler": "how a handler is called, and its result and its end are said: the same in a program's Python",
    "python/loading": "how a handler is loaded: the same",
    "python/role": "Role: what an instance does; one that runs a program has its own",
    "python/records": "where records go, which a sweep counts as effects",
    "python/clock": "simulated time inside of an instance",
    "python/process_ends": "what has to be done before a process ends on its own",
    "python/root_logger": "the platform's handler of the root logger",
    "python/tracebacks": "which frames are the package's own",
    "python/gates/lines": "gates at lines, of which those at points of a sweep are more",
    "python/gates/bytecode": "where a line begins in compiled code",
    "python/patches/": "who else wants to hear of a patched function subscribes there",
    "python/scheduler/": "the scheduler of an instance's threads: a program's Python, and a point, waits by it",
    "side/": "functions before they were patched, which a supervisor calls",
    "zygote/reaper": "how all below a process are killed: the shim of a container does it, too",
}
"""By module, or by room with a slash behind it: what the kernel offers to wings, and why they need it."""
_OF_PYTHON = frozenset({"_replace", "_asdict", "_fields", "_make", "_exit", "_getframe", "_accept"})
"""Names of the standard library; the last is a socket's."""


def _defined(tree: ast.AST) -> Iterator[str]:
    """The private names that classes of a module have: methods, and attributes that are set on self or declared."""
    for owner in ast.walk(tree):
        if isinstance(owner, ast.ClassDef):
            for node in ast.walk(owner):
                if isinstance(node, ast.FunctionDef):
                    yield node.name
                elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    yield node.target.id
                elif isinstance(node, ast.Attribute) and _is_own(node) and isinstance(node.ctx, ast.Store):
                    yield node.attr


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}


def _declared(tree: ast.AST) -> Iterator[str]:
    """The names that its Protocols declare."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases):
            yield from _defined(ast.Module([node], []))


def _targets(module: Module, tree: ast.AST, names: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The modules of the kernel that a module imports, by their paths in the package's directory."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (base := module.absolute(node.level, node.module)) is not None:
            for alias in node.names:
                target = f"{base}.{alias.name}" if f"{base}.{alias.name}" in names else base
                if target in names and rooms.wing_of(names[target]) == rooms.KERNEL:
                    yield names[target].removesuffix(".py").removesuffix("/__init__"), node.lineno


def check(root: Path, offered: Mapping[str, str]) -> list[str]:
    """Every violation in the package whose directory is *root*, as ``file:line: sentence``."""
    modules = [Module(path, root) for path in sorted(root.rglob("*.py"))]
    inner = {module.name: module.path.relative_to(root).as_posix() for module in modules}
    trees = {module.name: ast.parse(module.path.read_bytes()) for module in modules}
    of_kernel: set[str] = set()
    declared: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        wing = rooms.wing_of(inner[module.name])
        if wing == rooms.KERNEL:
            of_kernel |= {name for name in _defined(trees[module.name]) if name.startswith("_")}
        else:
            declared[wing] |= {*_declared(trees[module.name])}
    used: set[str] = set()
    violations: list[str] = []
    for module in modules:
        path, tree = inner[module.name], trees[module.name]
        wing = rooms.wing_of(path)
        if wing == rooms.KERNEL:
            continue
        for target, line in _targets(module, tree, inner):
            rows = {row for row in offered if target == row or (row.endswith("/") and target.startswith(row))}
            used |= rows
            if not rows:
                violations.append(f"{PACKAGE}/{path}:{line}: the kernel does not offer {target} to wings (OFFERED).")
        own = {*_defined(tree)} | declared[wing]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not _is_own(node):
                name = node.attr
                if name in of_kernel - own - _OF_PYTHON and not name.startswith("__"):
                    sentence = f"{ast.unparse(node)} is private to the kernel, and no Protocol of {wing} declares it."
                    violations.append(f"{PACKAGE}/{path}:{node.lineno}: {sentence}")
    if root.resolve() == OWN_PACKAGE:
        violations += [f"OFFERED has {row}, which no wing uses: take it out." for row in offered if row not in used]
    return violations


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else OWN_PACKAGE
    if not root.is_dir() or not any(root.rglob("*.py")):
        print(f"check_wings: no Python files in {root}", file=sys.stderr)
        return 2
    violations = check(root, OFFERED)
    for violation in violations:
        print(violation)
    print(f"check_wings: {len(violations)} violations" if violations else "check_wings: wings use what is offered")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
