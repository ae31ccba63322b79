"""Places in user code: what ``run_to("export.py:42#3")`` names, checked against the files of the code directory."""

from __future__ import annotations

import ast
import difflib
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType

from ..errors import ScfUsageError, hidden_from_users
from ..protocol.messages import Instruction, Spot
from ..protocol.shortening import shortened_list
from ..protocol.statements import codes_in, first_line, statements_in

__tracebackhide__ = hidden_from_users

FORMS = '"init", "export.py:42", "function_name" or "Class.method", the last three also with "#3" for the third pass'

_LINE = re.compile(r"(?P<file>.+\.py):(?P<line>\d+)")
NAMED = 5
"""Files or functions that a message names."""
_PASSED_OVER = frozenset({"__pycache__", "node_modules"})
_IN_INSTANCES = "/var/user"


@dataclass(frozen=True)
class Place:
    """A line or a function of user code, and where the instance finds it."""

    text: str = field(compare=False)
    """As the test named it, without the number of the pass."""
    spots: tuple[Spot, ...]
    """One of each code object."""
    number: int | None = field(compare=False)
    """The pass that is meant, counted from the event's first line; None: the next one."""
    instructions: tuple[Instruction, ...] = ()
    """The same for a place that is one instruction."""


def find(place: str, directories: Sequence[str], entry: str, function: str = "") -> Place:
    """The place that *place* names in the code directory, the first of *directories*; others hold the same code.

    *entry* is the entry module's file, *function* the handler's name there. Raises ``ScfUsageError`` with what is
    wrong, and what is there instead.
    """
    directory = directories[0]
    asked = f"run_to({place!r})"
    text, number = _number(place, asked)
    match = _LINE.fullmatch(text)
    if match is not None:
        path = _file(match["file"], directory, entry, asked)
        is_entry = os.path.join(directory, path) == entry
        found = list(_line(directory, path, int(match["line"]), asked, function if is_entry else ""))
    elif all(part.isidentifier() for part in text.split(".")) and not text.endswith(".py"):
        found = list(_function(directory, text, asked))
    else:
        raise ScfUsageError(f"{asked} is not valid: it must be {FORMS}")
    roots = dict.fromkeys([*directories, _IN_INSTANCES])
    return Place(
        text, tuple(spot._replace(file=os.path.join(root, spot.file)) for spot in found for root in roots), number
    )


def _number(place: object, asked: str) -> tuple[str, int | None]:
    if not isinstance(place, str):
        raise ScfUsageError(f"{asked} is not valid: it must be {FORMS}")
    text, hash_sign, number = place.replace(".<locals>", "").rpartition("#")
    if not hash_sign:
        return number, None
    if not re.fullmatch(r"-?\d+", number, re.ASCII):
        raise ScfUsageError(f"{asked} is not valid: {number!r} is not the number of a pass; it must be {FORMS}")
    if int(number) < 1:
        raise ScfUsageError(f"{asked} is not valid: passes are counted from 1")
    return text, int(number)


# -- files -------------------------------------------------------------------------------------------------------------


def _files(directory: str) -> Iterator[str]:
    """The Python files of a code directory, by their paths below it; a virtual environment in it is passed over."""
    for folder, folders, names in os.walk(directory):
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _PASSED_OVER)
        for name in sorted(names):
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(folder, name), directory)


def _file(named: str, directory: str, entry: str, asked: str) -> str:
    if os.path.isabs(named):
        named = os.path.relpath(os.path.realpath(named), os.path.realpath(directory))
    wanted = os.path.normpath(named)
    files = list(_files(directory))
    if wanted in files:
        return wanted
    found = [path for path in files if path.endswith(os.sep + wanted)]
    main = os.path.relpath(entry, directory)
    if len(found) == 1 or main in found:
        return main if main in found else found[0]
    if found:
        raise ScfUsageError(
            f"{asked} is ambiguous: the code directory {directory} has {shortened_list(found, NAMED)}; give its path"
        )
    base = os.path.basename(wanted)
    near = [path for path in files if os.path.basename(path) == base]
    if not near:
        names = difflib.get_close_matches(base, {os.path.basename(path) for path in files}, 3)
        near = [path for path in files if os.path.basename(path) in names]
    hint = (
        f"did you mean {shortened_list(near, NAMED)}?"
        if near
        else f"it has {shortened_list(files, NAMED) or 'no Python file'}"
    )
    raise ScfUsageError(f"{asked}: the code directory {directory} has no file {named}; {hint}")


def _source(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


# -- lines -------------------------------------------------------------------------------------------------------------


def _line(directory: str, shown: str, line: int, asked: str, function: str) -> Iterator[Spot]:
    path = os.path.join(directory, shown)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are the instance's to show
            tree = ast.parse(_source(path), path)
            code = compile(tree, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError) as error:
        raise ScfUsageError(f"{asked}: {shown} cannot be compiled: {error}") from None
    codes = list(codes_in(code))
    with_code = sorted(frozenset().union(*(lines for _, _, lines in codes)))
    if line not in with_code:
        later = next((number for number in with_code if number > line), None)
        if later is None:
            there = f"the last line of {shown} with code is {with_code[-1]}" if with_code else f"{shown} is empty"
        else:
            there = f"the next line of {shown} with code is {later}"
        top = [of for of in code.co_consts if isinstance(of, CodeType) and of.co_name == function]
        of_function = sorted(frozenset().union(*(lines for of, _, lines in codes if of in top)))
        if of_function:  # a test file may have both: the handler, and tests, of which an event runs no line
            first, last = of_function[0], of_function[-1]
            there += f", and {function} has code in line{f' {first}' if first == last else f's {first} to {last}'}"
        raise ScfUsageError(f"{asked}: line {line} has no code; {there}")
    statements = list(statements_in(tree))
    for code, owner, lines in codes:
        around = [(low, high) for whose, low, high in statements if whose == owner and low <= line <= high]
        if line in lines and around:  # else it is how a class body begins, before its first statement
            low, high = min(around, key=lambda extent: extent[1] - extent[0])
            yield Spot(shown, code.co_name, code.co_firstlineno, line, low, high)


# -- functions ---------------------------------------------------------------------------------------------------------


def _function(directory: str, name: str, asked: str) -> list[Spot]:
    wanted = name.split(".")
    found: list[Spot] = []
    known: dict[str, None] = {}
    for shown in _files(directory):
        path = os.path.join(directory, shown)
        source = _source(path)
        if b"def" not in source:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(source, path)
        except (SyntaxError, ValueError):
            continue
        for parts, node in _functions(tree, ()):
            known[".".join(parts)] = None
            if list(parts[-len(wanted) :]) == wanted:
                found.append(Spot(shown, node.name, first_line(node, node.lineno), 0, 0, 0))
    if found:
        return found
    same = [one for one in known if one.rpartition(".")[2] == wanted[-1]]
    near = same or difflib.get_close_matches(name, [*known, *(one.rpartition(".")[2] for one in known)], 3)
    hint = (
        f"did you mean {shortened_list([*dict.fromkeys(near)], NAMED)}?"
        if near
        else f"it has {shortened_list([*known], NAMED) or 'no function'}"
    )
    raise ScfUsageError(f"{asked}: no file of the code directory {directory} has a function {name}; {hint}")


def _functions(
    node: ast.AST, around: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The functions in *node*, each with its name and those of what it is defined in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield (*around, child.name), child
            yield from _functions(child, (*around, child.name))
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, (*around, child.name))
        else:
            yield from _functions(child, around)
