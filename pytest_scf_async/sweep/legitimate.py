"""What differs between two undisturbed runs: it means nothing where an interrupted run differs in it, too.

The undisturbed run is repeated with another start time and other request ids. What differs between these two is
brought to one normal form in every run, and is ignored only where it has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import get_args

from .comparison import compare
from .contents import document_of, ends_line, is_text, lines_of, records_of, tables_of, values_of
from .differences import Kind
from .effects import EffectKind, Effects, FileContent, FileKind, canonical
from .ignored import NOTHING, FileRule, Ignored, IgnoredByUser
from .normal_forms import JsonRule, Tokens, field_text, paired, path_text

OTHER_START = timedelta(days=400, hours=7, minutes=31, seconds=17, microseconds=123_457)
"""How much later the repeated undisturbed run starts: each part of each time in it is another one then, as in none is a
multiple of its range. A part that is the same in both by chance would be compared as if it belonged to the handler."""


def legitimate_differences(first: Effects, second: Effects, by_user: IgnoredByUser | None = None) -> Ignored:
    """What differs between two undisturbed runs, of which the second started later (``OTHER_START``)."""
    ignored = Ignored(by_user=by_user or IgnoredByUser())
    if first != second:
        for learn in (_learn_files, _learn_rows, _learn_records, _learn_values, _learn_tmp):
            learn(first, second, ignored)
        ignore_rest(first, second, ignored)
    return ignored


def ignore_rest(first: Effects, second: Effects, ignored: Ignored) -> None:
    """Leave out what still differs: nothing of it has a normal form that is the same in both."""
    for difference in (*compare(first, second, ignored), *compare(second, first, ignored)):
        effect, name = difference.effect, difference.name
        is_whole = any(part.unit in get_args(FileKind) for part in (*difference.missing, *difference.extra))
        if effect is EffectKind.FILE and (difference.kind is Kind.DIVERGED or not is_whole):
            ignored.files[name] = NOTHING
            named = f"{name}: its content"
        else:
            ignored.whole.add((effect, name))
            named = name if effect is EffectKind.RESULT else f"{effect.value} {name}"
            named = f"{_column(name, '')}: its rows" if effect is EffectKind.ROW else named
        if named not in ignored.names:
            ignored.names.append(named)


def _column(table: str, column: str) -> str:
    """``orders.db: orders.created_at``."""
    return f"{table.replace(':', ': ', 1)}{column and '.'}{column}"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _learn_names(
    first: Iterable[str], second: Iterable[str], tokens: Tokens, effect: EffectKind, ignored: Ignored
) -> list[tuple[str, str]]:
    """Learn from names that only one run has; the pairs of names of which each is the other's."""
    ours, theirs = {*first}, {*second}
    pairs, left, right = paired([*ours - theirs], [*theirs - ours])
    for one, other in pairs:
        tokens.add(one, other)
    tokens.keep(ours & theirs)
    ignored.names.extend(sorted({f"{effect.value} {tokens.normal(one)}" for one, _ in pairs}))
    for name in (*left, *right):
        ignored.leave_out(effect, name, f"{effect.value} {name}: only one of two undisturbed runs has it")
    return [*pairs, *((each, each) for each in ours & theirs)]


def _learn_files(first: Effects, second: Effects, ignored: Ignored) -> None:
    ours_named, theirs_named = (
        [each for each in effects.files if not ignored.by_user.has(each)] for effects in (first, second)
    )
    pairs = _learn_names(ours_named, theirs_named, ignored.file_names, EffectKind.FILE, ignored)
    for one, other in sorted(pairs):
        ours, theirs, name = first.files[one], second.files[other], ignored.file_names.normal(one)
        known = ignored.files.get(name)
        if ours != theirs and known != NOTHING:
            ignored.files[name], what = _file_rule(name, ours, theirs, known)
            ignored.names.extend(what)


def _file_rule(
    name: str, first: FileContent, second: FileContent, rule: JsonRule | Tokens | None
) -> tuple[FileRule, Iterable[str]]:
    if first.kind != "file" or second.kind != "file" or first.content is None or second.content is None:
        return NOTHING, [f"{name}: its content"]
    ours, theirs = document_of(name, first.content), document_of(name, second.content)
    if ours is not None and theirs is not None and not isinstance(rule, Tokens):
        json_rule = rule or JsonRule()
        json_rule.learn(ours.value, theirs.value)
        return json_rule, json_rule.names(name)
    are_lines = ours is None and theirs is None and is_text(first.content) and is_text(second.content)
    if not are_lines or isinstance(rule, JsonRule) or ends_line(first.content) != ends_line(second.content):
        return NOTHING, [f"{name}: its content"]
    lines, others = lines_of(first.content), lines_of(second.content)
    if len(lines) != len(others):
        return NOTHING, [f"{name}: its content, {_counted(len(lines), 'line')} and {_counted(len(others), 'line')}"]
    tokens = rule or Tokens()
    different = Counter[int]()
    differing: set[str] = set()
    for line, other in zip(lines, others, strict=True):
        if line != other:
            different[tokens.add(line, other)] += 1
            differing |= {line, other}
    tokens.keep({*lines} - differing)
    if 0 in different:
        return NOTHING, [f"{name}: its content"]
    tokens.remember(lines)
    return tokens, [
        f"{name}: {_counted(number, 'token')} of {_counted(times, 'line')}"
        for number, times in sorted(different.items())
    ]


def _learn_rows(first: Effects, second: Effects, ignored: Ignored) -> None:
    ours, theirs = tables_of(first, ignored), tables_of(second, ignored)
    for name in sorted(ours.keys() | theirs.keys()):
        table, other = ours.get(name), theirs.get(name)
        if table is None or other is None or len(table.rows) != len(other.rows):
            counts = [_counted(len(each.rows), "row") if each else "no table" for each in (table, other)]
            ignored.leave_out(EffectKind.ROW, name, f"{_column(name, '')}: {' and '.join(counts)}")
            continue
        for column in dict.fromkeys(column for row in (*table.rows, *other.rows) for column in row):
            values, others = (Counter(canonical(row.get(column)) for row in each.rows) for each in (table, other))
            if values != others and not ignored.by_user.has(f"{name}.{column}"):
                ignored.columns.setdefault(name, set()).add(column)
                ignored.names.append(_column(name, column))


def _learn_records(first: Effects, second: Effects, ignored: Ignored) -> None:
    ours, theirs = records_of(first, ignored), records_of(second, ignored)
    for name in sorted(ours.keys() | theirs.keys()):
        fields, others = ours.get(name, []), theirs.get(name, [])
        if len(fields) != len(others):
            ignored.leave_out(EffectKind.RECORD, name, f"record {name}: {len(fields):,} and {len(others):,} of them")
            continue
        rule = JsonRule()
        if Counter(map(canonical, fields)) != Counter(map(canonical, others)):
            for one, other in zip(fields, others, strict=True):
                rule.learn(one, other)
        if () in rule.ignored:
            ignored.leave_out(EffectKind.RECORD, name, f"record {name}: its fields")
            continue
        ignored.values[EffectKind.RECORD, name] = rule
        ignored.names.extend([f"record {name}: {field_text(path)}" for path in sorted(rule.ignored, key=path_text)])
        ignored.names.extend(JsonRule(set(), rule.unordered, rule.texts, rule.keys).names(f"record {name}"))


def _learn_values(first: Effects, second: Effects, ignored: Ignored) -> None:
    ours, theirs = values_of(first, ignored), values_of(second, ignored)
    for effect, name in sorted(ours.keys() | theirs.keys()):
        key = effect, name
        named = name if effect is EffectKind.RESULT else f"{effect.value} {name}"
        if key not in ours or key not in theirs:
            ignored.leave_out(effect, name, f"{named}: only one of two undisturbed runs has it")
            continue
        rule = ignored.values[key] = JsonRule()
        rule.learn(ours[key], theirs[key])
        ignored.names.extend(rule.names(named))


def _learn_tmp(first: Effects, second: Effects, ignored: Ignored) -> None:
    ours, theirs = ([each for each in effects.tmp if not ignored.by_user.has(each)] for effects in (first, second))
    _learn_names(ours, theirs, ignored.tmp_names, EffectKind.TMP, ignored)
