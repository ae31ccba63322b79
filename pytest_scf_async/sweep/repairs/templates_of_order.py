"""Templates of order: what counts as done is noted when it is done, or in the same step."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..differences import Kind
from ..source_text import SCOPES, AnyFunction, Edit, last_name
from .draft import EXITS, Blame, Draft, Template
from .parsed_source import ParsedSource, loaded, stored

_FAR = 4
"""Over so many statements one is moved at most."""
_ENDS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_STAYS = (*SCOPES, *_ENDS, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)
_TO_DISK = ("commit", "flush", "sync")
_CHANGES_NOTHING = frozenset({"print", "sleep", "exists", "read_text", "int", "str", "len", "range", "format"})
_REMOVES = frozenset({"unlink", "remove", "rmtree", "clear", "rmdir"})
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def moved(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """A statement moves to the other side of another one that does something: in its block, or out of that."""
    registrations = {registration.statement for registration in source.code.registrations}
    for block in source.blocks():
        for far in range(1, _FAR + 1):
            for at, statement in enumerate(block):
                if not _does(statement) or statement in registrations:
                    continue
                for to in (at - far, at + far):
                    over = block[max(to, 0) : at] if to < at else block[at + 1 : to + 1]
                    is_inside = 0 <= to < len(block) and _may_pass(statement, over) and any(map(_does, over))
                    ends = [statement] if to > at else over
                    if any(map(_may_end, ends)) or (to < at and _calls(statement) & _REMOVES):
                        continue  # something would be done where it is not now, or be removed before it is read
                    if to < at and not registrations.isdisjoint(over):
                        continue  # the listener would be installed later
                    if is_inside and blame.is_at(statement, *over):
                        yield from _move(source, statement, block[to], behind=to > at)
        for statement in (block[0], block[-1]):
            if _does(statement) and statement not in registrations:
                yield from _out(source, blame, block, statement)


def _out(source: ParsedSource, blame: Blame, block: list[ast.stmt], statement: ast.stmt) -> Iterator[Draft]:
    """The last statement of a loop, an ``if`` or a ``with`` moves behind it, the first one before it."""
    around = source.code.parents[statement]
    if not isinstance(around, (*_LOOPS, ast.If, ast.With, ast.AsyncWith)) or block is not around.body or len(block) < 2:
        return
    if not source.positions.has_own_lines(around) or not blame.is_at(around):
        return
    if isinstance(around, ast.While) and stored(statement) & loaded(around.test):
        return
    if statement is block[-1]:
        yield from _move(source, statement, around, behind=True)
    elif not isinstance(around, _LOOPS) and not loaded(statement) & stored(around):
        yield from _move(source, statement, around, behind=False)


def _move(source: ParsedSource, statement: ast.stmt, to: ast.stmt, *, behind: bool) -> Iterator[Draft]:
    edits = source.moved(statement, to, behind=behind)
    if edits is not None:
        yield Draft("effect before the position", edits)


def _does(statement: ast.stmt) -> bool:
    """Whether it may change something outside of the names of its function."""
    if isinstance(statement, ast.AugAssign):
        return True
    calls = _calls(statement)
    return not isinstance(statement, (*_STAYS, ast.Assign, ast.AnnAssign)) and any(
        name not in _CHANGES_NOTHING for name in calls
    )


def _calls(statement: ast.stmt) -> set[str]:
    return {last_name(each.func) for each in ast.walk(statement) if isinstance(each, ast.Call)}


def _ends(statement: ast.stmt) -> bool:
    return isinstance(statement, _ENDS) or (isinstance(statement, ast.Expr) and last_name(statement.value) in EXITS)


def _may_end(statement: ast.stmt) -> bool:
    return any(isinstance(each, _ENDS) for each in ast.walk(statement))


def _may_pass(statement: ast.stmt, over: list[ast.stmt]) -> bool:
    """Whether *statement* and those that it moves *over* give each other no names, and none of them ends the block."""
    if any(map(_ends, (statement, *over))):
        return False
    for each in over:
        if stored(statement) & (loaded(each) | stored(each)):
            return False
        if stored(each) & loaded(statement):
            return False
    return True


def counted(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """How far the work is says the file to which it is appended, or what is there is not appended again."""
    for block, at in source.statements():
        read, function = block[at], source.function(block[at])
        if not isinstance(read, ast.Assign) or function is None or not _is_read(read):
            continue
        for loop in (each for each in ast.walk(function) if isinstance(each, (ast.For, ast.While))):
            head = loop.iter if isinstance(loop, ast.For) else loop.test
            if last_name(read.targets[0]) not in loaded(head) or not blame.touches(loop):
                continue
            for statement, file in _appended(loop):
                name, path = source.of(file), source.operand(file)
                is_path = source.is_path(file)
                lines = f"{path}.read_text().splitlines()" if is_path else f"open({name}).readlines()"
                exists = f"{path}.exists()" if is_path else f"os.path.exists({name})"
                known = f"len({lines}) if {exists} else 0"
                imports = source.imported("os") if exists.startswith("os") else []
                if not loaded(file) & _bound_from(read, function):
                    yield Draft("append and position in one", [*imports, source.positions.value(read.value, known)])
                text = source.reindented(statement.lineno, statement, source.deeper(statement))
                if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name) and text and statement in loop.body:
                    count, indent = source.new_name("known", "known_lines"), source.indent(statement)
                    guarded = f"{indent}{count} = {known}\n{indent}if {loop.target.id} >= {count}:\n{text}"
                    start, _ = source.positions.lines(statement.lineno, statement.lineno)
                    edits = [source.dropped(statement), Edit(start, start, guarded)]
                    yield Draft("append and position in one", [*imports, *edits])


def _is_read(statement: ast.Assign) -> bool:
    """Whether it reads a number from a file."""
    names = {last_name(each.func) for each in ast.walk(statement.value) if isinstance(each, ast.Call)}
    return "int" in names and not names.isdisjoint({"read_text", "read", "open", "load", "loads"})


def _appended(loop: ast.stmt) -> Iterator[tuple[ast.stmt, ast.expr]]:
    """The statements in *loop* that append to a file, and the file."""
    for statement in ast.walk(loop):
        call = statement.items[0].context_expr if isinstance(statement, ast.With) else None
        if isinstance(statement, ast.With) and isinstance(call, ast.Call) and last_name(call.func) == "open":
            *given, mode = call.args or [call.func]
            if isinstance(mode, ast.Constant) and mode.value in ("a", "ab"):
                if given:
                    yield statement, given[0]
                elif isinstance(call.func, ast.Attribute):
                    yield statement, call.func.value


def _bound_from(read: ast.stmt, function: AnyFunction) -> set[str]:
    """The names that *function* binds in *read* or behind it only."""
    simple = [each for each in ast.walk(function) if isinstance(each, ast.stmt) and not isinstance(each, SCOPES)]
    before = {name for each in simple if each.lineno < read.lineno for name in stored(each)}
    return stored(function) - before


def one_transaction(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """What belongs together is committed together."""
    for block, at in source.statements():
        statement = block[at]
        call = statement.value if isinstance(statement, ast.Expr) else None
        if (
            not isinstance(call, ast.Call)
            or not isinstance(call.func, ast.Attribute)
            or not blame.touches(*block[at : at + 3])
        ):
            continue
        name, of = call.func.attr, source.of(call.func.value)
        if name == "executescript" and call.args:
            script = source.of(call.args[0])
            is_sum = isinstance(call.args[0], ast.BinOp) and isinstance(call.args[0].op, ast.Add)
            if not is_sum and not isinstance(call.args[0], (ast.Name, ast.Attribute, ast.Call)):
                script = f"({script})"
            edit = source.positions.value(call.args[0], f'"BEGIN; " + {script} + " COMMIT;"')
            yield Draft("one transaction", [edit])
        elif name == "commit" and any(_is(each, of, "commit") for each in block[at + 1 :]):
            yield Draft("one transaction", [source.dropped(statement)])
        elif name in ("execute", "executemany") and not (at and _is(block[at - 1], of, "execute")):
            last = at
            while last + 1 < len(block) and _is(block[last + 1], of, "execute", "executemany"):
                last += 1
            if name == "executemany" or last > at:
                begin = source.before(statement, [f'{of}.execute("BEGIN")'])
                yield Draft("one transaction", [begin, source.after(block[last], [f'{of}.execute("COMMIT")'])])


def _is(statement: ast.stmt, of: str, *methods: str) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return False
    return call.func.attr in methods and ast.unparse(call.func.value) == of


def saved_at_stop(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """A stop commits or flushes what the end of the work commits or flushes."""
    code = source.code
    flags = code.flags(code.listeners)
    if not blame.is_stop:
        return
    for block, at in source.statements():
        save = block[at]
        if not (isinstance(save, ast.Expr) and isinstance(save.value, ast.Call)):
            continue
        if last_name(save.value.func) not in _TO_DISK:
            continue
        for loop in block[:at]:
            for test in ast.walk(loop) if isinstance(loop, _LOOPS) else ():
                if (
                    isinstance(test, ast.If)
                    and loaded(test.test) & set(flags)
                    and source.of(save) not in source.of(test)
                ):
                    yield Draft("save at a stop what the end saves", [source.before(test.body[0], [source.of(save)])])


def checked_between(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """A flag is not looked at in the middle of a step, where it has been looked at before the step."""
    flags = set(source.code.flags(source.code.listeners))
    if not blame.is_stop or blame.kinds.isdisjoint({Kind.LOST, Kind.DIVERGED, Kind.DOUBLED}):
        return
    for block in source.blocks():
        tests = [each for each in block if isinstance(each, ast.If) and _only_ends(each) and loaded(each.test) & flags]
        for test in tests[1:]:
            edit: Edit = source.dropped(test)
            yield Draft("stop between two steps", [edit])


def _only_ends(test: ast.If) -> bool:
    return len(test.body) == 1 and not test.orelse and isinstance(test.body[0], _ENDS)


TEMPLATES_OF_ORDER: tuple[Template, ...] = (checked_between, counted, one_transaction, saved_at_stop, moved)
