"""Holds that no module looks for a fact in a sentence: a text is made where it is shown, and read by people alone.

A module that needs to know what happened asks an object for the fact. One that looks for words in a text which another
module wrote (an entry of the timeline, an error, a status) finds something else as soon as a word there changes, and
nobody who changes it can see that.

A sentence is a text of more than one word: a literal, what a module binds to a name, also where another one imports
that, or the ``value`` of an enumeration's member, which is a text for people where the name is the fact. Three things
look for it: a comparison (``==``, ``in``, ``case``), a method of ``str`` that finds a text (``startswith``,
``partition`` and their like), and a regular expression. The words of a ``Literal`` are values, and pass.

What Python, a program or the kernel says comes as text and has to be read: FROM_OUTSIDE has these, KNOWN what is still
to be mended. Run: python tools/check_facts.py [the package's directory]
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = "pytest_scf_async"
OWN_PACKAGE = Path(__file__).resolve().parent.parent / PACKAGE

FROM_OUTSIDE: dict[str, dict[str, str]] = {
    "endpoint/certificates.py": {"-----BEGIN ": "PEM"},
    "python/patches/connections.py": {"HEAD ": "HTTP"},
    "python/patches/datetime.py": {"metaclass conflict": "Python, of a class that cannot be made"},
    "python/tracebacks.py": {"<frozen importlib._bootstrap": "Python, in tracebacks"},
    "conformance/cases.py": {
        "[PLATFORM] Signal re": "the platform, or what stands in for it",
        "Response RequestId": "the platform, or what stands in for it",
        "Init Report": "the platform, or what stands in for it",
    },
    "programs/runtimes/program.py": {"(?! .*\\.py": "the test: the name of an image, in a pattern with spaces"},
    "lockstep/thread_reports.py": {
        "(?:Current t|T)hread 0x": "faulthandler",
        '  File "(?P<file>': "faulthandler",
    },
    "model/tracebacks.py": {
        "  File": "faulthandler",
        "(  \\+ Exception Group )?Traceback ": "Python, in tracebacks",
        '^ *File "': "Python, in tracebacks",
        '[ |+-]*File "': "Python, in tracebacks",
        "[ |+-]*(?:Exception Group )?Traceback ": "Python, in tracebacks",
        "[Errno ": "Python, of an OSError",
    },
    "plugin/scopes.py": {"ScopeMismatch: You tried": "pytest"},
    "plugin/timeout.py": {"from pytest-timeout": "pytest-timeout"},
    "linux/procfs.py": {
        "from multiprocessing.forkserver import main": "multiprocessing",
        "from multiprocessing.resource_tracker import main": "multiprocessing",
    },
    "report/cause.py": {
        "Fatal Python error: ": "faulthandler",
        "Current thread 0x": "faulthandler",
        "ModuleNotFoundError: No module named ": "Python",
        " argument": "Python, of a call",
        "AttributeError: module ": "Python, of a module",
        "\\S*python[\\d.]*: (?P<error>(No module named": "Python, at its start",
        "Traceback (most recent call last)": "Python, in tracebacks",
    },
    "report/exceptions.py": {
        "KeyError: ": "Python, of a key",
        "<frozen os>": "Python, in tracebacks",
        "[Errno ": "Python, of an OSError",
    },
    "deployable/imports.py": {"sys\\.version_info ": "Python, of a condition in code"},
    "sweep/effects.py": {
        " at 0x": "Python, in a repr",
        "CREATE VIRTUAL": "SQLite, of a table",
        "SQLite format 3": "SQLite, in its files",
    },
    "sweep/issue.py": {"start \\d+ (?:ended": "the script of a repro, among what the program prints"},
    "sweep/normal_forms.py": {"[0-9a-fA-F]{8}-": "the handler: the tokens of its lines"},
    "trace/page.py": {
        '<script type="application/json" id="trace">': "a file, which may be of another version, or none of ours",
        "pytest-scf-async trace": "the same",
    },
    "sweep/undisturbed.py": {"\\[Errno 30\\] ": "Python, of an OSError"},
}
"""By file: how the sentences begin that are looked for there, and who else writes them."""

KNOWN: dict[str, dict[str, str]] = {}
"""By file: how the sentences of today begin, and who writes them. Nothing is added: what is mended goes out."""

FINDS = frozenset(
    {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split", "rsplit"}
    | {"find", "rfind", "index", "rindex", "count", "replace"}
)
"""Methods of ``str`` that look for a text."""
PATTERNS = frozenset({"compile", "match", "fullmatch", "search", "findall", "finditer", "split", "sub", "subn"})
"""Functions of ``re``."""
LOOKS = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
WORDS = re.compile(r"[^\W\d_]\S* +\S|\S +[^\W\d_]|^ +[^\W\d_]+|[^\W\d_]+ +$")
"""What a sentence has: words with a space between them, or a word with a space before or behind it."""


def check(root: Path) -> list[str]:
    """Every violation in the package whose directory is `root`, as `file:line: sentence`."""
    trees = {
        path.relative_to(root).as_posix(): ast.parse(path.read_bytes(), filename=str(path))
        for path in sorted(root.rglob("*.py"))
    }
    package = Package(trees)
    violations: list[str] = []
    seen: set[tuple[str, str]] = set()
    for inner, tree in trees.items():
        known = {*FROM_OUTSIDE.get(inner, ()), *KNOWN.get(inner, ())}
        for line, text in Finder(package, inner).of(tree):
            beginning = next((each for each in known if text.startswith(each)), None)
            if beginning is not None:
                seen.add((inner, beginning))
            else:
                violations.append(f"{root.name}/{inner}:{line}: {text!r} is looked for in a text: ask for the fact.")
    if root.resolve() == OWN_PACKAGE:
        violations += [
            f"{text!r} is listed for {inner}, which does not look for it: take it out."
            for known in (FROM_OUTSIDE, KNOWN)
            for inner, texts in known.items()
            for text in texts
            if (inner, text) not in seen
        ]
    return violations


class Package:
    """What the modules of a package bind to names, as far as it is text, and its enumerations."""

    def __init__(self, trees: Mapping[str, ast.Module]) -> None:
        self.bound = {inner: dict(_bound(tree)) for inner, tree in trees.items()}
        everywhere: dict[str, list[ast.expr]] = {}
        for bound in self.bound.values():
            for name, value in bound.items():
                everywhere.setdefault(name, []).append(value)
        self.anywhere = {name: values[0] for name, values in everywhere.items() if len(values) == 1}
        """By names that one module alone binds: whoever imports it calls it so."""
        self.enums = {
            node.name
            for tree in trees.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and any((_last(base) or "").endswith("Enum") for base in node.bases)
        }
        self.values = {
            part.value
            for tree in trees.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.Subscript) and _last(node.value) == "Literal"
            for part in ast.walk(node.slice)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        }


class Finder:
    """Finds where one module looks for a sentence."""

    def __init__(self, package: Package, inner: str) -> None:
        self._package = package
        self._bound = package.bound[inner]

    def of(self, tree: ast.AST) -> Iterator[tuple[int, str]]:
        """The line and the text of each."""
        for node in ast.walk(tree):
            for looked_for in _looked_for(node):
                for text in self._texts(looked_for):
                    if WORDS.search(text) and text not in self._package.values:
                        yield looked_for.lineno, text
                yield from ((looked_for.lineno, name) for name in self._members(looked_for))

    def _texts(self, node: ast.AST, depth: int = 0) -> Iterator[str]:
        """The texts that *node* is made of, by way of the names that stand in it."""
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
        elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            for element in node.elts:
                yield from self._texts(element, depth)
        elif isinstance(node, ast.BinOp):
            yield from self._texts(node.left, depth)
            yield from self._texts(node.right, depth)
        elif isinstance(node, ast.IfExp):
            yield from self._texts(node.body, depth)
            yield from self._texts(node.orelse, depth)
        elif isinstance(node, (ast.Name, ast.Attribute)) and depth < 3:
            name = _last(node) or ""
            value = self._bound.get(name) if isinstance(node, ast.Name) else None
            value = self._package.anywhere.get(name) if value is None else value
            if value is not None:
                yield from self._texts(value, depth + 1)

    def _members(self, node: ast.AST) -> Iterator[str]:
        for part in ast.walk(node):
            of = part.value if isinstance(part, ast.Attribute) and part.attr == "value" else None
            if isinstance(of, ast.Attribute) and _last(of.value) in self._package.enums:
                yield ast.unparse(part)


def _looked_for(node: ast.AST) -> Iterator[ast.expr]:
    """What *node* looks for, where it looks for something."""
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], LOOKS):
        yield from (node.left, *node.comparators)
    elif isinstance(node, ast.MatchValue):
        yield node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        of_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
        if node.func.attr in (PATTERNS if of_re else FINDS):
            yield from node.args[:1]


def _bound(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def _last(node: ast.expr) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else OWN_PACKAGE
    if not root.is_dir() or not any(root.rglob("*.py")):
        print(f"check_facts: no Python files in {root}", file=sys.stderr)
        return 2
    violations = check(root)
    for violation in violations:
        print(violation)
    print(f"check_facts: {len(violations)} violations" if violations else "check_facts: nobody looks for a sentence")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
