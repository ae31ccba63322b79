"""Templates of stops: the listener is there in time, does little, and the work ends where it may end."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..differences import Kind
from ..shutdown_code import Registration, condition_says, names_declared
from ..source_text import FUNCTIONS, AnyFunction, Edit, last_name
from .draft import EXITS, Blame, Draft, Template
from .parsed_source import ParsedSource, loaded, stored

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_CONTAINERS = ("list", "dict", "set", "deque", "Counter", "OrderedDict")


def listener_first(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """The listener is installed as soon as what it needs is there."""
    for registration in _registrations(source) if blame.is_stop else ():
        statement, function = registration.statement, source.function(registration.call)
        if (
            function is None
            or statement not in function.body
            or not all(map(source.positions.has_own_lines, function.body))
        ):
            continue
        needs = loaded(statement)
        listener = source.code.function_of(registration.listener)
        if listener is not None:
            needs |= loaded(listener)
            needs |= set() if isinstance(listener, ast.Lambda) else names_declared(listener)
        at = function.body.index(statement)
        first = at
        while first and not _stays_above(function.body[first - 1], needs):
            first -= 1
        edits = source.moved(statement, function.body[first], behind=False) if first < at else None
        if edits is not None:
            yield Draft("listener first", edits)


def _stays_above(statement: ast.stmt, needs: set[str]) -> bool:
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or isinstance(statement, (ast.Global, ast.Nonlocal)) or bool(stored(statement) & needs)


def _registrations(source: ParsedSource) -> Iterator[Registration]:
    for each in source.code.registrations:
        if isinstance(each.statement, ast.Expr) and each.statement.value is each.call:
            yield each


def _listener(source: ParsedSource, registration: Registration) -> AnyFunction | None:
    """The listener, where it is a function of the module."""
    found = source.code.function_of(registration.listener)
    return found if isinstance(found, FUNCTIONS) and found in source.tree.body else None


def flag(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """The listener sets a flag, and the loop ends at its head as the listener has ended the process."""
    for registration in _registrations(source) if blame.is_stop else ():
        listener, function = _listener(source, registration), source.function(registration.call)
        if listener is None or function is None or not all(map(source.positions.has_own_lines, listener.body)):
            continue
        end = listener.body[-1]
        if not isinstance(end, ast.Raise) and not (isinstance(end, ast.Expr) and last_name(end.value) in EXITS):
            continue
        name = source.new_name("stopping", "stop_requested")
        first = listener.body[0]
        edits = [
            source.before(listener, [f"{name} = False", "", ""]),
            source.at_top(function, [f"global {name}", f"{name} = False"]),
        ]
        noted = f"{name} = True"
        if first is end:
            noted = f"global {name}\n{source.indent(end)}{noted}"
        else:
            edits.append(source.at_top(listener, [f"global {name}"]))
        edits.append(source.positions.replaced(end, noted))
        for loop in (each for each in ast.walk(function) if isinstance(each, _LOOPS)):
            if not source.positions.has_own_lines(loop.body[0]):
                continue
            check = source.before(loop.body[0], [f"if {name}:", f"{source.step}{_line(source, end)}"])
            if None not in edits:
                yield Draft("return in place of exit", [*(each for each in edits if each is not None), check])


def _line(source: ParsedSource, statement: ast.stmt) -> str:
    """*statement* as one line."""
    return source.of(statement) if statement.lineno == statement.end_lineno else ast.unparse(statement)


def saved_in_loop(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """The listener sets a flag, and the loop does between two steps what the listener has done in the middle of one."""
    for registration in _registrations(source) if blame.is_stop else ():
        listener, function = _listener(source, registration), source.function(registration.call)
        if listener is None or function is None or not _is_plain(source, listener):
            continue
        name = source.new_name("stopping", "stop_requested")
        reset = source.at_top(function, [f"global {name}", f"{name} = False"])
        first, end = listener.body[0], listener.body[-1]
        deeper = source.indent(first)
        noted = Edit(
            *source.positions.lines(first.lineno, end.end_lineno or end.lineno),
            f"{deeper}global {name}\n{deeper}{name} = True\n",
        )
        flagged = source.before(listener, [f"{name} = False", "", ""])
        for loop in (each for each in ast.walk(function) if isinstance(each, _LOOPS)):
            begin = loop.body[0]
            done = source.reindented(first.lineno, end, source.deeper(begin))
            if reset is not None and done is not None and source.positions.has_own_lines(begin):
                at = source.before(begin, [f"if {name}:"])
                check = at._replace(text=f"{at.text}{done}")
                yield Draft("save in the loop, not in the listener", [flagged, reset, noted, check])


def _is_plain(source: ParsedSource, listener: AnyFunction) -> bool:
    """Whether the lines of *listener* do the same in a loop: they save something, read no argument, and end all."""
    *saves, end = listener.body
    given = {each.arg for each in ast.walk(listener) if isinstance(each, ast.arg)}
    ends = isinstance(end, ast.Raise) or (isinstance(end, ast.Expr) and last_name(end.value) in EXITS)
    return bool(saves) and ends and all(_is_plain_line(source, each, given) for each in listener.body)


def _is_plain_line(source: ParsedSource, statement: ast.stmt, given: set[str]) -> bool:
    if not isinstance(statement, (ast.Expr, ast.Raise)) or statement.lineno != statement.end_lineno:
        return False
    return source.positions.has_own_lines(statement) and not loaded(statement) & given


def ignored(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """A second SIGTERM does not run the listener within itself."""
    for registration in _registrations(source) if blame.is_second else ():
        listener, func = source.code.function_of(registration.listener), registration.call.func
        if isinstance(listener, FUNCTIONS) and isinstance(func, ast.Attribute) and func.attr == "signal":
            module = source.of(func.value)
            line = f"{module}.signal({registration.signal}, {module}.SIG_IGN)"
            edit = source.at_top(listener, [line])
            if edit is not None and line not in source.of(listener):
                yield Draft("ignore further signals", [edit])


def not_taken(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """``except Exception`` lets pass what the listener raises."""
    raised = {
        last_name(node.exc)
        for listener in source.code.listeners
        for node in ast.walk(listener)
        if isinstance(node, ast.Raise) and node.exc is not None
    }
    for node in ast.walk(source.tree) if blame.is_stop else ():
        if isinstance(node, ast.ClassDef) and node.name in raised:
            for base in node.bases:
                if last_name(base) != "BaseException":
                    yield Draft(
                        "an exception that no other code takes", [source.positions.value(base, "BaseException")]
                    )


def kept(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """The listener has no way out before it has noted that SIGTERM has come."""
    for listener in source.code.listeners if blame.is_stop else ():
        body = [] if isinstance(listener, ast.Lambda) else listener.body
        for at, statement in enumerate(body):
            is_way_out = isinstance(statement, ast.If) and isinstance(statement.body[-1], ast.Return)
            if is_way_out and at + 1 < len(body) and source.positions.has_own_lines(statement):
                yield Draft("forget no signal", [source.dropped(statement)])


def reset(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """A flag of the module is not set any more when the next event begins."""
    code = source.code
    flags = code.flags(code.listeners)
    for registration in _registrations(source) if blame.is_stop else ():
        function = source.function(registration.call)
        for name in flags if function is not None else ():
            assert function is not None
            initial = next((each for each in source.tree.body if _binds(each, name)), None)
            if not isinstance(initial, ast.Assign) or any(_binds(each, name) for each in function.body):
                continue
            if isinstance(initial.value, ast.Constant):
                lines = [] if name in names_declared(function) else [f"global {name}"]
                lines.append(f"{name} = {source.of(initial.value)}")
            elif last_name(initial.value) == "Event" and f"{name}.clear()" not in source.of(function):
                lines = [f"{name}.clear()"]
            else:
                continue
            is_declared = isinstance(initial.value, ast.Constant) and len(lines) == 1
            edit = source.before(registration.statement, lines) if is_declared else source.at_top(function, lines)
            if edit is not None and source.positions.has_own_lines(registration.statement):
                yield Draft("reset the flag", [edit])


def emptied(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """A list, a set or a dictionary of the module has nothing of the last event when the next one begins."""
    filled = [name for statement in source.tree.body if (name := _empty_in(statement))]
    for registration in _registrations(source) if blame.is_stop else ():
        function = source.function(registration.call)
        for name in filled if function is not None else ():
            assert function is not None
            line = f"{name}.clear()"
            edit = source.at_top(function, [line])
            if edit is not None and line not in source.of(function):
                yield Draft("empty what the last event has filled", [edit])


def _empty_in(statement: ast.stmt) -> str:
    """The name that *statement* binds to something empty that can be filled; empty: it does not."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return ""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    value = statement.value
    is_call = isinstance(value, ast.Call) and last_name(value) in _CONTAINERS and not value.args
    is_empty = isinstance(value, (ast.List, ast.Dict)) and ast.unparse(value) in ("[]", "{}")
    return target.id if isinstance(target, ast.Name) and (is_call or is_empty) else ""


def _binds(statement: ast.stmt, name: str) -> bool:
    return isinstance(statement, ast.Assign) and any(last_name(each) == name for each in statement.targets)


def waited(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """A sleep ends when SIGTERM comes: `time.sleep` goes on after it, and ``Event.wait`` does not."""
    if Kind.LATE not in blame.kinds or not blame.is_stop:
        return
    flags = source.code.flags(source.code.listeners)
    sleeps = [statement for block in source.blocks() for statement in block if _sleeps(statement)]
    for registration in _registrations(source):
        listener, function = _listener(source, registration), source.function(registration.call)
        if listener is None or function is None or not source.positions.has_own_lines(listener.body[-1]):
            continue
        names = [each for each in flags if any(_is_event(bound, each) for bound in source.tree.body)]
        edits: list[Edit | None] = []
        if not names:
            names = [source.new_name("stop_requested", "stop_event")]
            bound = next((each for each in source.tree.body for flag in flags if _binds(each, flag)), None)
            line = f"{names[0]} = threading.Event()"
            edits = [
                *source.imported("threading"),
                source.before(listener, [line, "", ""]) if bound is None else source.after(bound, [line]),
                source.after(listener.body[-1], [f"{names[0]}.set()"]),
                source.at_top(function, [f"{names[0]}.clear()"]),
            ]
            declared = next((each for each in function.body if isinstance(each, ast.Global)), None)
            if declared is not None and source.positions.has_own_lines(declared):
                edits[-1] = source.after(declared, [f"{names[0]}.clear()"])
        for statement in sleeps:
            around = source.function(statement)
            if around is None or around is listener or isinstance(around, ast.AsyncFunctionDef) or None in edits:
                continue
            assert isinstance(statement, ast.Expr)
            assert isinstance(statement.value, ast.Call)
            waits = f"{names[0]}.wait({source.of(statement.value.args[0])})"
            texts = [f"if {waits}:\n{source.deeper(statement)}{_end_at(source, statement, flags)}"]
            if _is_followed_by_test(source, statement, flags):
                texts.append(waits)
            for text in texts:
                change = source.positions.replaced(statement, text)
                yield Draft(
                    "wait for an event in place of a sleep", [*(each for each in edits if each is not None), change]
                )


def _sleeps(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and last_name(call.func) == "sleep" and len(call.args) == 1


def _is_event(statement: ast.stmt, name: str) -> bool:
    return _binds(statement, name) and isinstance(statement, ast.Assign) and last_name(statement.value) == "Event"


def _end_at(source: ParsedSource, statement: ast.stmt, flags: dict[str, bool]) -> str:
    """What is done elsewhere when a flag is set: what an ``if`` does, or the end of the loop; else a return."""
    for test in ast.walk(source.function(statement) or source.tree):
        if isinstance(test, ast.If) and loaded(test.test) & set(flags) and len(test.body) == 1:
            return _line(source, test.body[0])
    return "break" if _ends_by_flag(_loop_around(source, statement), flags) else "return"


def _is_followed_by_test(source: ParsedSource, statement: ast.stmt, flags: dict[str, bool]) -> bool:
    """Whether a flag is looked at right after *statement*, the last one of a loop, so that nothing else is done."""
    loop = _loop_around(source, statement)
    if not isinstance(loop, _LOOPS) or loop.body[-1] is not statement:
        return False
    first = loop.body[0]
    by_first = isinstance(first, ast.If) and bool(loaded(first.test) & set(flags))
    asks_first = isinstance(loop, ast.While) and not isinstance(loop.test, ast.Constant)
    return _ends_by_flag(loop, flags) or (by_first and not asks_first)


def _ends_by_flag(loop: ast.stmt | None, flags: dict[str, bool]) -> bool:
    """Whether it is the condition of *loop* that a flag ends."""
    return isinstance(loop, ast.While) and any(condition_says(loop.test, name) is not None for name in flags)


def _loop_around(source: ParsedSource, statement: ast.stmt) -> ast.stmt | None:
    around = (each for each in source.code.around(statement) if each is not statement)
    found = next((each for each in around if isinstance(each, (*_LOOPS, *FUNCTIONS))), None)
    return found if isinstance(found, _LOOPS) else None


def reentrant(source: ParsedSource, blame: Blame) -> Iterator[Draft]:
    """The listener does not wait for a lock that the code below it holds."""
    if not blame.is_stop:
        return
    listeners = source.code.listeners
    by_signal = [*listeners, *(called for each in listeners for called in source.code.called(each))]
    used = {name for each in by_signal for name in loaded(each)}
    for statement in source.tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            func = statement.value.func
            if last_name(statement.targets[0]) in used and source.of(func) in ("threading.Lock", "Lock"):
                imports = source.imported("threading")
                yield Draft("RLock in place of Lock", [*imports, source.positions.value(func, "threading.RLock")])
    for listener in listeners:
        for node in [] if isinstance(listener, ast.Lambda) else listener.body:
            if isinstance(node, ast.With) and "lock" in source.of(node.items[0].context_expr).lower():
                body = source.reindented(node.lineno + 1, node.body[-1], source.indent(node))
                if body is not None and all(map(source.positions.has_own_lines, [node, *node.body])):
                    lines = source.positions.lines(node.lineno, node.end_lineno or 1)
                    yield Draft("no lock in the listener", [Edit(*lines, body)])


TEMPLATES_OF_STOPS: tuple[Template, ...] = (
    *(listener_first, kept, not_taken, ignored, reset, emptied, flag, saved_in_loop, waited, reentrant),
)
