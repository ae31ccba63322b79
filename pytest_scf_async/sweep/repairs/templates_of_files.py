"""Templates of files: a file is whole under its name, or not there, at each moment."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..source_text import Edit, last_name
from .draft import Blame, Draft, Template
from .parsed_source import ParsedSource

_WRITES = ("write_text", "write_bytes")
_LINKS = ("symlink_to", "hardlink_to")
_COPIES = ("copyfile", "copy", "copy2", "copytree")
_REMOVES = ("unlink", "remove")
_ARCHIVES = ("ZipFile", "TarFile", "PyZipFile")
_SAVES = frozenset({"write", "save", "savez", "savez_compressed", "savetxt", "dump", "savefig", "tofile"})
_NUMPY = {"save": ".npy", "savez": ".npz", "savez_compressed": ".npz"}
"""These add an ending to a name that has not got it."""


class _Write(NamedTuple):
    """A file is written between the statements *first* and *last*."""

    target: ast.expr
    first: ast.stmt
    last: ast.stmt
    edits: Callable[[str], list[Edit]]
    """They have it written under another name."""
    is_path: bool = False
    is_link: bool = False
    changes: bool = False
    """The file goes on with what it had."""
    ending: str = ""


def replaced(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """A file gets its name when it is complete."""
    renames = (_rename(block[at]) for block, at in source.statements())
    renamed = {source.of(names[0]) for names in renames if names is not None}
    for block, at in source.statements():
        for write in _writes(source, block, at):
            if blame.touches(write.first, write.last) and source.of(write.target) not in renamed:
                for syncs in range(3 if blame.is_power else 1):
                    yield _draft(source, write, block[at - 1] if at else None, syncs)


def _draft(source: ParsedSource, write: _Write, before: ast.stmt | None, syncs: int) -> Draft:
    name, target = source.new_name("new", "new_file"), source.of(write.target)
    lines, edits = [], [*source.imported("os")]
    if not _is_dotted(write.target):
        bound = source.new_name("target", "target_file")
        lines, target = [f"{bound} = {target}"], bound
    is_path = write.is_path or source.is_path(write.target)
    ending = f".new{write.ending}"
    lines.append(
        f'{name} = {target}.with_name(f"{{{target}.name}}{ending}")' if is_path else f'{name} = f"{{{target}}}{ending}"'
    )
    if write.is_link or (write.changes and is_path):
        lines.append(f"{name}.unlink(missing_ok=True)")
    if write.changes:
        exists = f"{target}.exists()" if is_path else f"os.path.exists({target})"
        lines += [f"if {exists}:", f"{source.step}shutil.copyfile({target}, {name})"]
        edits += source.imported("shutil")
    if before is not None and _is_removal(before, source, source.of(write.target)):
        edits.append(source.dropped(before))
    behind = [*(_synced(source, name) if syncs else []), f"os.replace({name}, {target})"]
    if syncs > 1:
        behind += _directory_synced(source, target, is_path=is_path)
    edits += [source.before(write.first, lines), *write.edits(name), source.after(write.last, behind)]
    return Draft("change a copy and replace it" if write.changes else "write a new file and replace it", edits)


def _writes(source: ParsedSource, block: list[ast.stmt], at: int) -> Iterator[_Write]:
    statement = block[at]
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        for item in statement.items:
            yield from _opened(source, item.context_expr, statement, statement)
    elif isinstance(statement, ast.Assign):
        name = last_name(statement.targets[0])
        last = next((each for each in block[at:] if _is_call(each, "close", name)), None)
        if last is not None:
            yield from _opened(source, statement.value, statement, last)
    if not isinstance(statement, (ast.Expr, ast.Assign, ast.AugAssign)):
        return
    for call in (node for node in ast.walk(statement) if isinstance(node, ast.Call)):
        name = last_name(call.func)
        if isinstance(call.func, ast.Attribute) and name in (*_WRITES, *_LINKS) and call.args:
            yield _method(source, call.func, statement, is_link=name in _LINKS)
        elif isinstance(statement, ast.Expr) and (opened := _file_of(call)) is not None and _mode(call)[:1] == "w":
            if statement.value is not call and statement.lineno == statement.end_lineno:
                yield _inline(source, call, opened, statement)
        elif isinstance(statement, ast.Expr) and statement.value is call:
            yield from _given(source, call, statement)


def _named(
    source: ParsedSource, target: ast.expr, first: ast.stmt, last: ast.stmt, more: Sequence[Edit] = ()
) -> _Write:
    return _Write(target, first, last, lambda name: [source.positions.value(target, name), *more])


def _method(source: ParsedSource, method: ast.Attribute, statement: ast.stmt, *, is_link: bool) -> _Write:
    """A method of a path, which may be in parentheses."""
    start, end = source.positions.span(method)
    before = end - len(f".{method.attr}")
    return _Write(
        method.value, statement, statement, lambda name: [Edit(start, before, name)], is_path=True, is_link=is_link
    )


def _opened(source: ParsedSource, call: ast.expr, first: ast.stmt, last: ast.stmt) -> Iterator[_Write]:
    """*call* opens a file that is complete behind *last*."""
    target = _file_of(call) if isinstance(call, ast.Call) else None
    if target is None:
        return
    assert isinstance(call, ast.Call)
    mode, write = _mode(call), _named(source, target, first, last)
    if mode[:1] == "w":
        yield write._replace(is_path=isinstance(call.func, ast.Attribute) and call.func.value is target)
    elif "+" in mode or (mode[:1] == "a" and last_name(call.func) in _ARCHIVES):
        yield write._replace(changes=True)


def _inline(source: ParsedSource, call: ast.Call, target: ast.expr, statement: ast.stmt) -> _Write:
    """``json.dump(state, open(path, "w"))`` gets a ``with``, which closes the file before it is renamed."""

    def edits(new: str) -> list[Edit]:
        file = source.new_name("file", "opened")
        opened = source.of(call).replace(source.of(target), new, 1)
        start, _ = source.positions.span(statement)
        with_line = f"with {opened} as {file}:\n{source.deeper(statement)}"
        return [Edit(start, start, with_line), source.positions.value(call, file)]

    return _Write(target, statement, statement, edits, is_path=False)


def _given(source: ParsedSource, call: ast.Call, statement: ast.stmt) -> Iterator[_Write]:
    """A function gets the name of the file that it writes."""
    name = last_name(call.func)
    given = call.args[1:2] if name in _COPIES else call.args
    for each in given:
        is_constant = isinstance(each, ast.Constant) and isinstance(each.value, str)
        is_text = (is_constant or isinstance(each, ast.JoinedStr)) and name in _SAVES
        if not (source.is_path(each) or is_text or name in _COPIES or name.startswith("to_")):
            continue
        more: list[Edit] = []
        if name == "copytree" and not any(keyword.arg == "dirs_exist_ok" for keyword in call.keywords):
            _, end = source.positions.span(call)
            more = [Edit(end - 1, end - 1, ", dirs_exist_ok=True")]
        write = _named(source, each, statement, statement, more)
        yield write._replace(ending=_NUMPY.get(name, ""))


def _file_of(call: ast.Call) -> ast.expr | None:
    """The file that *call* opens."""
    if last_name(call.func) not in ("open", *_ARCHIVES):
        return None
    first = call.args[0] if call.args else None
    if isinstance(call.func, ast.Attribute) and (first is None or _is_mode(first)):
        return call.func.value
    return first


def _mode(call: ast.Call) -> str:
    given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return next((str(each.value) for each in given if isinstance(each, ast.Constant) and _is_mode(each)), "r")


def _is_mode(node: ast.expr) -> bool:
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and 0 < len(text) < 4 and set(text) <= set("rwaxbt+")


def _is_call(statement: ast.stmt, method: str, of: str = "") -> bool:
    """Whether *statement* is ``of.method(…)``."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or last_name(call.func) != method:
        return False
    return not of or (isinstance(call.func, ast.Attribute) and last_name(call.func.value) == of)


def _is_removal(statement: ast.stmt, source: ParsedSource, target: str) -> bool:
    """Whether it removes *target*, perhaps if it is there."""
    if isinstance(statement, ast.If) and len(statement.body) == 1 and not statement.orelse:
        return _is_removal(statement.body[0], source, target)
    if not any(_is_call(statement, name) for name in _REMOVES):
        return False
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    func, given = statement.value.func, statement.value.args
    of = given[0] if given else func.value if isinstance(func, ast.Attribute) else func
    return source.of(of) == target


def _is_dotted(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_dotted(node.value))


# -- power -------------------------------------------------------------------------------------------------------------


def _synced(source: ParsedSource, name: str) -> list[str]:
    return [f'with open({name}, "rb") as synced:', f"{source.step}os.fsync(synced.fileno())"]


def _directory_synced(source: ParsedSource, target: str, *, is_path: bool) -> list[str]:
    directory = source.new_name("directory", "directory_of_it")
    parent = f"{target}.parent" if is_path else f'os.path.dirname({target}) or "."'
    return [f"{directory} = os.open({parent}, os.O_RDONLY)", f"os.fsync({directory})", f"os.close({directory})"]


def synced(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """What is renamed is on the disk before; then its directory, too; then so with each rename of the file."""
    if not blame.is_power:
        return
    renames = [(block[at], found) for block, at in source.statements() if (found := _rename(block[at])) is not None]
    touched = [each for each in renames if blame.touches(each[0])]
    for chosen in (*([each] for each in touched), renames):
        for directories in (False, True):
            edits = [edit for each in chosen for edit in _rename_synced(source, *each, directories=directories)]
            yield Draft("sync before the rename", [*source.imported("os"), *edits])


def _rename(statement: ast.stmt) -> tuple[ast.expr, ast.expr] | None:
    """What *statement* renames, and to what."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or last_name(call.func) not in ("replace", "rename", "move"):
        return None
    if len(call.args) == 2:
        return call.args[0], call.args[1]
    return (call.func.value, call.args[0]) if isinstance(call.func, ast.Attribute) and len(call.args) == 1 else None


def _rename_synced(
    source: ParsedSource, statement: ast.stmt, names: tuple[ast.expr, ast.expr], *, directories: bool
) -> Iterator[Edit]:
    old, new = names
    yield source.before(statement, _synced(source, source.of(old)))
    if directories:
        is_path = source.is_path(new)
        target = source.operand(new) if is_path else source.of(new)
        yield source.after(statement, _directory_synced(source, target, is_path=is_path))


# -- other small changes of how a file is written ----------------------------------------------------------------------


def copied(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """A file stays until another one takes its place."""
    renames = [names for block, at in source.statements() if (names := _rename(block[at])) is not None]
    replaced = {source.of(new) for _, new in renames}
    for block, at in source.statements():
        statement = block[at]
        names = _rename(statement)
        if names is not None and source.of(names[0]) in replaced and blame.touches(statement):
            assert isinstance(statement, ast.Expr)
            copy = f"shutil.copyfile({source.of(names[0])}, {source.of(names[1])})"
            yield Draft(
                "copy in place of a move", [*source.imported("shutil"), source.positions.value(statement.value, copy)]
            )


def joined(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """Several lines are one write."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and last_name(node.func) == "writelines" and len(node.args) == 1:
            assert isinstance(node.func, ast.Attribute)
            if blame.touches(source.code.statement_of(node)):
                name = source.positions.span(node.func)[1]
                for empty in ('""', 'b""'):
                    written = f"{empty}.join({source.of(node.args[0])})"
                    edits = [
                        Edit(name - len("writelines"), name, "write"),
                        source.positions.value(node.args[0], written),
                    ]
                    yield Draft("one write in place of several", edits)


def flushed(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """What is written does not stay in a buffer."""
    for block, at in source.statements():
        statement = block[at]
        if _is_call(statement, "write") and blame.touches(statement, *block[max(at - 1, 0) : at + 2]):
            assert isinstance(statement, ast.Expr)
            assert isinstance(statement.value, ast.Call)
            if isinstance(statement.value.func, ast.Attribute):
                file = source.of(statement.value.func.value)
                yield Draft("flush what is written", [source.after(statement, [f"{file}.flush()"])])


def directories(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """Directories are made, whichever of them are there."""
    for block, at in source.statements():
        statement = block[at]
        if not (isinstance(statement, ast.If) and len(statement.body) == 1 and not statement.orelse):
            continue
        made = statement.body[0]
        if not (_is_call(made, "makedirs") or _is_call(made, "mkdir")) or not blame.touches(statement):
            continue
        text, body = source.of(made), source.reindented(statement.lineno + 1, made, source.indent(statement))
        if "exist_ok" not in text and made.lineno == made.end_lineno and body is not None:
            more = ", exist_ok=True)" if not text.endswith("()") else "exist_ok=True)"
            lines = source.positions.lines(statement.lineno, made.lineno)
            edit = Edit(*lines, body.replace(text, f"{text[:-1]}{more}"))
            yield Draft("make the directories that are missing", [edit])


def locked(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """The kernel gives a lock back when its owner is dead."""
    for block, at in source.statements():
        statement = block[at]
        if not isinstance(statement, ast.Assign) or not blame.touches(statement):
            continue
        call, lock = statement.value, source.of(statement.targets[0])
        if not isinstance(call, ast.Call) or last_name(call.func) != "open" or not _is_dotted(statement.targets[0]):
            continue
        flags = next((each for each in call.args[1:] if "O_EXCL" in source.of(each)), None)
        if flags is not None:
            taken = source.after(statement, [f"fcntl.flock({lock}, fcntl.LOCK_EX | fcntl.LOCK_NB)"])
            edits = [source.positions.value(flags, "os.O_CREAT | os.O_RDWR"), taken]
            imports = [*source.imported("fcntl"), *source.imported("os")]
            yield Draft("the kernel's lock in place of a lock file", [*imports, *edits])


def held(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """So it does where a file says by being there that somebody else works."""
    for block, at in source.statements():
        test, function = block[at], source.function(block[at])
        lock = _asked_for(test)
        if lock is None or function is None or not isinstance(test, ast.If) or not blame.touches(*block[at : at + 2]):
            continue
        name = source.of(lock)
        removed = any(_is_removal(each, source, name) for each in ast.walk(function) if isinstance(each, ast.stmt))
        if not removed or not all(map(source.positions.has_own_lines, test.body)):
            continue  # where it is taken for longer than this function runs, the lock would be gone
        file, indent = source.new_name("held", "held_lock"), source.indent(test)
        lines = [
            f'{indent}{file} = open({name}, "a")',
            f"{indent}try:",
            f"{source.deeper(test)}fcntl.flock({file}, fcntl.LOCK_EX | fcntl.LOCK_NB)",
            f"{indent}except OSError:",
        ]
        start, end = source.positions.lines(test.lineno, test.body[0].lineno - 1)
        edit = Edit(start, end, "".join(f"{line}\n" for line in lines))
        yield Draft("the kernel's lock in place of a lock file", [*source.imported("fcntl"), edit])


def _asked_for(test: ast.stmt) -> ast.expr | None:
    """The file that ends the function where it is there."""
    if not isinstance(test, ast.If) or test.orelse or not isinstance(test.body[-1], (ast.Return, ast.Raise)):
        return None
    call = test.test
    if not isinstance(call, ast.Call) or last_name(call) not in ("exists", "is_file", "isfile"):
        return None
    if call.args:
        return call.args[0]
    return call.func.value if isinstance(call.func, ast.Attribute) else None


def outliving(source: ParsedSource, _: Blame) -> Iterator[Draft]:
    """What is in the directory for temporary files goes where other files are."""
    variables = {
        source.of(node): None
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Subscript) and source.of(node.value) == "os.environ"
    }
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and source.of(node) == "tempfile.gettempdir()":
            for variable in variables:
                yield Draft("keep it where the next instance finds it", [source.positions.value(node, variable)])


TEMPLATES_OF_FILES: tuple[Template, ...] = (
    *(replaced, synced, copied, joined, flushed, directories, locked, held, outliving),
)
