"""Writes the messages of the package into docs/troubleshooting.md and its translations, from the sources, by group.

A message is what an error or a warning of the package is made with; ``…`` stands for what differs from case to case.
Every file that has one is in a group of ``GROUPS``, whose rows go between ``<!-- [messages: NAME] -->`` and
``<!-- [end] -->``.
Run: python tools/write_messages.py [--check] [the project's directory]
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path, PurePosixPath

ROOT = Path(sys.argv[-1]) if len(sys.argv) > 1 and not sys.argv[-1].startswith("-") else Path(__file__).parents[1]
PACKAGE = ROOT / "pytest_scf_async"
DOCS = ROOT / "docs"
PAGES = (DOCS / "troubleshooting.md", *sorted(DOCS.glob("*/troubleshooting.md")))
"""The page, and what it is in other languages, each in a folder."""
WORDS = {"zh": {"message": "报错信息", "error": "类型", "a failure": "测试失败", "at the end of a test": "测试结束时"}}
"""By folder of a language: the words of a table that are no message."""
PUBLIC = ("ScfUsageError", "CannotEndError", "GateNotReachedError", "HandlerError", "UnsupportedPlatformError",
          "HarnessError", "ScfAsyncWarning", "UsageError", "CollectError")  # fmt: skip
"""The errors that a user sees; what else is raised in the package is caught in it."""
GROUPS = {
    "settings": ("options.py", "errors.py", "model/configuration.py"),
    "images": ("programs/runtimes/program.py", "programs/runtimes/container.py", "programs/runtimes/ports.py"),
    "scripts": ("scripted.py", "instances/runtimes/scripted.py"),
    "code": (
        "function.py", "instances/code.py", "instances/layers.py", "instances/packages.py", "instances/zygote.py",
        "instances/runtimes", "programs/runtimes", "instances/sandbox.py", "model/before_init.py", "deployable",
    ),
    "time": (
        "clock.py", "lockstep/calls.py", "lockstep/features", "lockstep/reports.py", "lockstep/scheduler.py",
        "lockstep/watchdog.py",
    ),
    "events": (
        "async_event.py", "runtime.py", "assertions.py", "model/patterns.py", "model/payload.py",
        "model/transitions.py", "lockstep/gates.py", "lockstep/places.py", "timers",
        "triggers",
    ),
    "pytest": (
        "plugin", "endpoint/of_test.py", "sweep/of_test.py", "trace/of_test.py", "trace/option.py",
        "report/teardown.py", "hookspecs.py",
    ),
    "sweeps": ("sweep",),
    "endpoint": ("endpoint", "conformance"),
    "traces": ("trace",),
}  # fmt: skip
"""By group of rows: the files of the package, and the folders, whose messages it has."""
BUGS = "bugs"
"""The group of ``HarnessError``, wherever it is raised."""
PLATFORM = "platform"
"""The group of what the platform refuses, which has a table of its own in the sources."""
HELPERS = {
    ".has_to_be": "… is not valid: it must be {0}",
    ".refuse": "… is not valid: {0}",
    "lockstep/scheduler.py .refuse": "{1}",
    "lockstep/reports.py .refuse": "{1}",
    "sweep/kept_points.py .refuse": "{1}",
    "model/configuration.py refuse": "{0} is not valid: {1}",
    "model/configuration.py refuse_variable": "the environment variable … is not valid: {1}",
    "model/configuration.py refuse_text": "{2}",
    "model/before_init.py refuse": "before_init_args=… is not valid: {0}",
    "model/payload.py _refused": "payload… {1}",
}
"""Functions and methods that make an error of their arguments, some by their file: the message that they make."""
TEARDOWN = PurePosixPath("report/teardown.py")
"""The file whose functions make the texts of what pytest says at the end of a test."""
GAP = "…"
MODULES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def constants() -> dict[str, ast.expr]:
    """What modules assign to a name, but to one that several of them have."""
    found: dict[str, list[ast.expr]] = {}
    for tree in MODULES.values():
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None)
            for target in targets:
                if isinstance(target, ast.Name) and isinstance(value, ast.expr):
                    found.setdefault(target.id, []).append(value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


Scope = dict[str, list[ast.expr]]
"""What the function around a call assigns to names."""


def texts(node: ast.expr, scope: Scope, depth: int = 3) -> list[str]:
    """The texts that *node* may be, with gaps."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(_part(each, scope, depth) for each in node.values)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [left + right for left in texts(node.left, scope, depth) for right in texts(node.right, scope, depth)]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, scope, depth), *texts(node.orelse, scope, depth)]
    if isinstance(node, ast.Name) and depth:
        known = scope.get(node.id) or [constants()[name] for name in (node.id,) if name in constants()]
        return [text for value in known for text in texts(value, scope, depth - 1)] or [GAP]
    return [GAP]


def _part(node: ast.expr, scope: Scope, depth: int) -> str:
    """A part of an f-string: what has several texts is a gap."""
    known = texts(node.value if isinstance(node, ast.FormattedValue) else node, scope, depth)
    return known[0] if len(known) == 1 else GAP


def tidy(text: str) -> str:
    """*text* in one line, and its neighbouring gaps as one."""
    text = re.sub(r"\{\{?\w*(![rs])?(:[^}]*)?\}?\}", GAP, text)
    text = re.sub(rf"{GAP}[ ,]*(?:{GAP}[ ,]*)+(?=\W|$)", GAP, re.sub(rf"{GAP}{GAP}+", GAP, text))
    return " ".join(text.split())


def found_in(tree: ast.Module) -> Iterator[tuple[ast.AST, Scope]]:
    """The calls, returns and assignments of a module, each with what the function around it assigns."""
    left: list[tuple[ast.AST, Scope]] = [(tree, {})]
    while left:
        node, scope = left.pop()
        if isinstance(node, (ast.Call, ast.Return, ast.Assign)):
            yield node, scope
        elif isinstance(node, ast.FunctionDef):
            scope = dict(scope)
            for each in ast.walk(node):
                if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                    scope[each.targets[0].id] = [*scope.get(each.targets[0].id, ()), each.value]
        left += [(each, scope) for each in ast.iter_child_nodes(node)]


def raised(file: PurePosixPath, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The messages of the module in *file*, each with the class of its error."""
    at_end = file == TEARDOWN
    for node, scope in found_in(tree):
        if isinstance(node, ast.Assign) and any(getattr(each, "id", "") == "warning" for each in node.targets):
            value = node.value.body if isinstance(node.value, ast.IfExp) else node.value
            yield from (("ScfAsyncWarning", text) for text in texts(value, scope))
        if at_end and isinstance(node, ast.Return) and node.value is not None:
            yield from (("at the end of a test", text) for text in texts(node.value, scope))
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [texts(each, scope) for each in node.args]
        if name in PUBLIC:
            yield from ((name, text) for text in given[0])
        elif name == "warn" and len(given) > 1 and getattr(node.args[1], "id", "") == "ScfAsyncWarning":
            yield from (("ScfAsyncWarning", text) for text in given[0])
        elif ast.unparse(node.func) == "pytest.fail":
            yield from (("a failure", text) for text in given[0])
        else:
            called = f".{name}" if isinstance(node.func, ast.Attribute) else name
            form = HELPERS.get(f"{file} {called}", HELPERS.get(called))
            if form is not None and not ast.unparse(node.args[0]).startswith("messages."):
                yield from (("ScfUsageError", form.format(*each)) for each in product(*given))


def refusals() -> Mapping[str, str]:
    """What the platform refuses: the texts by code, as the package has them."""
    sys.path.insert(0, str(ROOT))
    try:
        found: dict[str, str] = {}
        for file, name in (("model/codes", "API_ERRORS"), ("endpoint/operations/error_texts", "ERROR_TEXTS")):
            if (PACKAGE / f"{file}.py").is_file():
                found |= getattr(importlib.import_module(f"{PACKAGE.name}.{file.replace('/', '.')}"), name)
        return dict(sorted(found.items()))
    finally:
        sys.path.pop(0)


def group_of(path: PurePosixPath) -> str:
    for group, files in GROUPS.items():
        if any(path.is_relative_to(each) for each in files):
            return group
    return ""


def says_something(text: str) -> bool:
    """Whether it has words to look for: three of them, beside what only introduces a value."""
    return len(re.findall(r"[A-Za-z]{2,}", text.replace("is not valid", ""))) >= 3


def messages() -> dict[str, set[tuple[str, str]]]:
    """By group: its messages, each with the class of its error."""
    found: dict[str, set[tuple[str, str]]] = {group: set() for group in (*GROUPS, BUGS, PLATFORM)}
    for path, tree in MODULES.items():
        file = PurePosixPath(path.relative_to(PACKAGE))
        for kind, text in raised(file, tree):
            message = tidy(text)
            if says_something(message):
                group = BUGS if kind == "HarnessError" else group_of(file)
                assert group, f"{path}: its messages are in no group of tools/write_messages.py"
                found[group].add((message, kind))
    found[PLATFORM] = {(f"{code}: {tidy(text)}", "ScfApiError") for code, text in refusals().items()}
    return found


def code(text: str) -> str:
    """*text* as code in a table, whatever signs it has."""
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def table(rows: set[tuple[str, str]], words: dict[str, str]) -> list[str]:
    """The lines of a group: in the order of the words after the first gap, as these are what a reader looks for."""
    message, error = (words.get(word, word) for word in ("message", "error"))
    kinds = {kind for _, kind in rows}
    ordered = sorted(rows, key=lambda row: (re.sub(rf"^[\W{GAP}]+", "", row[0]).casefold(), row))
    if len(kinds) == 1:
        return [f"| {message} |", "|---|", *(f"| {code(text)} |" for text, _ in ordered)]
    return [f"| {message} | {error} |", "|---|---|",
            *(f"| {code(text)} | {code(kind) if kind in PUBLIC else words.get(kind, kind)} |"
              for text, kind in ordered)]  # fmt: skip


def written(path: Path, found: dict[str, set[tuple[str, str]]]) -> str:
    """The page at *path* with the tables of what was *found*, as they have to be."""
    page = path.read_text(encoding="utf-8")
    for group, rows in found.items():
        begins = f"<!-- [messages: {group}] -->"
        before, mark, after = page.partition(begins)
        assert mark, f"{path.relative_to(ROOT)} has no {begins}"
        _, end, rest = after.partition("<!-- [end] -->")
        assert end, f"{path.relative_to(ROOT)}: {begins} has no end"
        page = "\n".join([before + begins, "", *table(rows, WORDS.get(path.parent.name, {})), "", end + rest])
    return page


def main() -> int:
    found = messages()
    stale = []
    for path in PAGES:
        made = written(path, found)
        if "--check" not in sys.argv:
            path.write_text(made, encoding="utf-8")
        elif made != path.read_text(encoding="utf-8"):
            stale.append(str(path.relative_to(ROOT)))
            print(f"write_messages: {stale[-1]} does not have the messages of the package: make messages")
    if "--check" in sys.argv and not stale:
        print("write_messages: docs/troubleshooting.md and its translations have the messages of the package")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
