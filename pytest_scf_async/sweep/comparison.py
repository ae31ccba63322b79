"""Compare what a run has left behind with what the undisturbed run has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from . import contents
from .differences import Difference, Kind, Part, Parts, Unit, bag_of
from .effects import EffectKind, Effects, FileContent, Json, Key, canonical
from .ignored import NOTHING, FileRule, Ignored
from .normal_forms import JsonRule, RepeatedKey, Tokens


def compare(undisturbed: Effects, found: Effects, ignored: Ignored) -> list[Difference]:
    """All differences, in the order files, rows, records, observed values, result, /tmp."""
    if undisturbed is found or undisturbed.digest() == found.digest():
        return []
    return [
        *_files(undisturbed, found, ignored),
        *_rows(undisturbed, found, ignored),
        *_records(undisturbed, found, ignored),
        *_values(undisturbed, found, ignored),
        *_tmp(undisturbed, found, ignored),
    ]


def _files(undisturbed: Effects, found: Effects, ignored: Ignored) -> Iterator[Difference]:
    ours, theirs = _by_name(undisturbed, ignored), _by_name(found, ignored)
    differences: list[Difference] = []
    alone: list[Difference] = []
    for name in sorted(ours.keys() | theirs.keys()):
        files, others = ours.get(name, []), theirs.get(name, [])
        if files == others:
            continue
        rule = ignored.files.get(name)
        left, more, again = _without_equal(name, files, others, rule)
        for one, other in zip(left, more, strict=False):
            differences += _content(name, one, other, rule)
        alone += [
            Difference(Kind.LOST, EffectKind.FILE, name, missing=(Part(one.kind, "", "", len(files), len(others)),))
            for one in left[len(more) :]
        ]
        for other in more[len(left) :]:
            kind = Kind.DOUBLED if again(other) else Kind.LEFT_BEHIND
            extra = Part(other.kind, "", "", len(files), len(others))
            alone.append(Difference(kind, EffectKind.FILE, name, extra=(extra,)))
    yield from _without_parents(alone)
    yield from differences


def _by_name(effects: Effects, ignored: Ignored) -> dict[str, list[FileContent]]:
    """Files by the normal form of their name."""
    found: dict[str, list[FileContent]] = {}
    for name, content in effects.files.items():
        normal = ignored.file_names.normal(name)
        if not ignored.has(EffectKind.FILE, name) and (EffectKind.FILE, normal) not in ignored.whole:
            found.setdefault(normal, []).append(content)
    return found


def _without_equal(
    name: str, files: list[FileContent], others: list[FileContent], rule: FileRule | None
) -> tuple[list[FileContent], list[FileContent], Callable[[FileContent], bool]]:
    """Those of either run that have no equal one left in the other, and whether one is there again.

    Those of the other run that are not come first, and of these the largest.
    """
    if len(files) < 2 and len(others) < 2:
        return files, others, lambda _: False

    def is_same(one: FileContent, other: FileContent) -> bool:
        return one == other or not _content(name, one, other, rule)

    more = sorted(others, key=lambda each: -len(each.content or b""))
    left = []
    for one in files:
        equal = next((at for at, other in enumerate(more) if is_same(one, other)), None)
        if equal is None:
            left.append(one)
        else:
            del more[equal]

    def again(other: FileContent) -> bool:
        return any(is_same(one, other) for one in files)

    return left, sorted(more, key=again), again


def _without_parents(alone: list[Difference]) -> list[Difference]:
    """A directory is named only where nothing in it is."""
    parents = {
        (each.kind, each.name[:at]) for each in alone for at, character in enumerate(each.name) if character == "/"
    }
    return [each for each in alone if (each.kind, each.name) not in parents or not _is_directory(each)]


def _is_directory(difference: Difference) -> bool:
    return any(part.unit == "directory" for part in (*difference.missing, *difference.extra))


def _content(name: str, undisturbed: FileContent, found: FileContent, rule: FileRule | None) -> list[Difference]:
    parts = Parts(EffectKind.FILE, name)
    ours, theirs = undisturbed.content, found.content
    if undisturbed == found or rule == NOTHING or (contents.is_database(undisturbed) and contents.is_database(found)):
        pass
    elif undisturbed.kind != found.kind:
        parts.changed(undisturbed.kind, "", undisturbed.kind, found.kind)
    elif undisturbed.kind == "symbolic link":
        parts.changed("target", "", *(json.dumps(contents.text_of(each or b"")) for each in (ours, theirs)))
    elif ours is None or theirs is None:
        sizes = (each.size if each.content is None else len(each.content) for each in (undisturbed, found))
        parts.changed("bytes", "", *map(str, sizes))
    else:
        _other_content(parts, name, ours, theirs, rule)
    return parts.differences()


def _other_content(parts: Parts, name: str, ours: bytes, theirs: bytes, rule: FileRule | None) -> None:
    document, other = contents.document_of(name, ours), contents.document_of(name, theirs)
    if document is not None and other is not None:
        json_rule = rule if isinstance(rule, JsonRule) else JsonRule()
        _json(parts, "", json_rule.normal(document.value), json_rule.normal(other.value))
        return
    is_prefix = ours.startswith(theirs)
    are_texts = contents.is_text(ours) and contents.is_text(theirs)
    if not are_texts or (document is not None and (is_prefix or contents.is_json_by_name(name))):
        _bytes(parts, ours, theirs)
        return
    lines, others = contents.lines_of(ours), contents.lines_of(theirs)
    if isinstance(rule, Tokens):
        lines, others = [*map(rule.normal, lines)], [*map(rule.normal, others)]
    if others and (others[-1] != lines[len(others) - 1] if is_prefix else _is_torn(ours, theirs, lines, others[-1])):
        others = others[:-1]
    bag = bag_of(lines, others, in_place=True)
    parts.bag(bag, "line")
    for at in bag.changed:
        parts.changed("line", str(at + 1), lines[at], others[at])
    if any(bag):
        return
    if lines != others:
        at = next(at for at, line in enumerate(lines) if line != others[at])
        parts.changed("lines in order", str(at + 1), lines[at], others[at])
    elif not isinstance(rule, Tokens) or contents.ends_line(ours) != contents.ends_line(theirs):
        _bytes(parts, ours, theirs)


def _bytes(parts: Parts, ours: bytes, theirs: bytes) -> None:
    if ours.startswith(theirs):
        parts.lost.append(Part("bytes", "", "", len(ours), len(theirs)))
    else:
        parts.changed("bytes", "", f"{len(ours)}", f"{len(theirs)}")


def _is_torn(ours: bytes, theirs: bytes, lines: Sequence[str], last: str) -> bool:
    """Whether the last line of a file that ends with a newline was written in part."""
    return contents.ends_line(ours) and not contents.ends_line(theirs) and last not in lines


def _json(parts: Parts, where: str, ours: Json, theirs: Json) -> None:
    before, after = canonical(ours), canonical(theirs)
    if before == after:
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        _json_dicts(parts, where, ours, theirs)
    elif isinstance(ours, list) and isinstance(theirs, list):
        items, others = [*map(canonical, ours)], [*map(canonical, theirs)]
        bag = bag_of(items, others, in_place=True)
        parts.bag(bag, "item", where)
        for at in bag.changed:
            _json(parts, f"{where}[{at}]", ours[at], theirs[at])
        if not any(bag):
            at = next(at for at, item in enumerate(items) if item != others[at])
            parts.changed("items in order", f"{where}[{at}]", items[at], others[at])
    else:
        parts.changed("value", where, before, after)


def _json_dicts(parts: Parts, where: str, ours: dict[str, Json], theirs: dict[str, Json]) -> None:
    for name, value in ours.items():
        place = f"{where}[{name!r}]"
        if name in theirs:
            _json(parts, place, value, theirs[name])
        else:
            parts.lost.append(Part("key", place, canonical(value)))
    for name, value in theirs.items():
        if name not in ours:
            part = Part("key", f"{where}[{name!r}]", canonical(value), 0, 1)
            again = isinstance(name, RepeatedKey) and name.of in ours and canonical(ours[name.of]) == part.value
            (parts.doubled if again else parts.unknown).append(part)


def _rows(undisturbed: Effects, found: Effects, ignored: Ignored) -> Iterator[Difference]:
    ours, theirs = contents.tables_of(undisturbed, ignored), contents.tables_of(found, ignored)
    only_one = _only_in_one(undisturbed, found, ignored)
    for name in sorted(ours.keys() | theirs.keys()):
        if name.startswith(only_one):  # a file is lost or left behind, and its rows with it
            continue
        table, other = ours.get(name), theirs.get(name)
        if table is None or other is None:
            yield from _in_one(Parts(EffectKind.ROW, name), "table", "", in_undisturbed=other is None)
        elif table.rows != other.rows:
            yield from _rows_of_table(name, table, other, ignored)


def _in_one(parts: Parts, unit: Unit, value: str, *, in_undisturbed: bool) -> list[Difference]:
    """What only one of the runs has."""
    of = parts.lost if in_undisturbed else parts.unknown
    of.append(Part(unit, "", value, int(in_undisturbed), int(not in_undisturbed)))
    return parts.differences()


def _only_in_one(undisturbed: Effects, found: Effects, ignored: Ignored) -> tuple[str, ...]:
    """How the names of tables begin whose database is none, or not there, in one of the runs."""
    normal = ignored.file_names.normal
    ours, theirs = (
        {normal(name): contents.is_database(content) for name, content in effects.files.items()}
        for effects in (undisturbed, found)
    )
    return tuple(
        f"{name}:" for name in ours.keys() | theirs.keys() if not (ours.get(name, False) and theirs.get(name, False))
    )


class _Row(NamedTuple):
    """Three texts, each of them JSON."""

    text: str
    """All columns that are compared."""
    values: str
    """The same without a key that SQLite gives by itself."""
    key: str
    """The primary key; empty where the table has none, or one that differs from run to run."""


def _rows_of_table(name: str, undisturbed: contents.Table, found: contents.Table, ignored: Ignored) -> list[Difference]:
    key = undisturbed.key
    if any(ignored.ignores_column(name, column) for column in key.columns):
        key = Key()
    columns = {column for row in (*undisturbed.rows, *found.rows) for column in row}
    skipped = {column for column in columns if ignored.ignores_column(name, column)}

    def row_of(row: dict[str, Json]) -> _Row:
        compared = {column: value for column, value in row.items() if column not in skipped}
        values = {column: value for column, value in compared.items() if column not in key.columns}
        text = canonical(compared)
        shown = json.dumps({column: row.get(column) for column in key.columns}) if key.columns else ""
        return _Row(text, canonical(values) if key.automatic else text, shown)

    ours, theirs = [*map(row_of, undisturbed.rows)], [*map(row_of, found.rows)]
    _, missing, extra = _pairs(ours, theirs, "text")
    parts = Parts(EffectKind.ROW, name)
    moved: list[tuple[_Row, _Row]] = []
    changed: list[tuple[_Row, _Row]] = []
    if key.automatic and {row.key for row in missing} != {row.key for row in extra}:
        # A row more, or less, has moved the keys of those after it, and these are the same rows nevertheless.
        moved, missing, extra = _pairs(missing, extra, "values")
    before, after = (Counter(row.values for row in rows) for rows in (ours, theirs))
    if key.columns:
        changed, missing, extra = _pairs(missing, extra, "key")
    elif len(missing) == len(extra) == 1 and not before[extra[0].values]:
        changed, missing, extra = [(missing[0], extra[0])], [], []
    for one, other in changed or (() if missing or extra else moved):
        _changed_row(parts, one, other)
    for row in dict.fromkeys(missing):
        counts = (1, 0) if key.columns else (before[row.values], after[row.values])
        parts.lost.append(Part("row", row.key or row.text, row.text, *counts))
    for row in dict.fromkeys(extra):
        again = before[row.values] > 0
        what = row.values if again else row.key or row.text
        part = Part("row", what, row.text, before[row.values], after[row.values])
        (parts.doubled if again else parts.unknown).append(part)
    return parts.differences()


def _pairs(
    ours: Sequence[_Row], theirs: Sequence[_Row], by: Literal["text", "values", "key"]
) -> tuple[list[tuple[_Row, _Row]], list[_Row], list[_Row]]:
    """Pairs of equal rows, and those of each that have no equal one in the other."""
    waiting: dict[str, list[_Row]] = {}
    for row in reversed(theirs):
        waiting.setdefault(getattr(row, by), []).append(row)
    pairs: list[tuple[_Row, _Row]] = []
    missing: list[_Row] = []
    for row in ours:
        equal = waiting.get(getattr(row, by))
        if equal:
            pairs.append((row, equal.pop()))
        else:
            missing.append(row)
    left = {id(row) for rows in waiting.values() for row in rows}
    return pairs, missing, [row for row in theirs if id(row) in left]


def _changed_row(parts: Parts, one: _Row, other: _Row) -> None:
    ours, theirs = json.loads(one.text), json.loads(other.text)
    same = {each for each in ours if each in theirs and ours[each] == theirs[each]}
    before, after = ({each: row[each] for each in row if each not in same} for row in (ours, theirs))
    parts.changed("columns", one.key or one.text, json.dumps(before), json.dumps(after))


def _records(undisturbed: Effects, found: Effects, ignored: Ignored) -> Iterator[Difference]:
    ours, theirs = contents.records_of(undisturbed, ignored), contents.records_of(found, ignored)
    for name in dict.fromkeys((*ours, *theirs)):
        rule = ignored.values.get((EffectKind.RECORD, name), JsonRule())
        texts, others = ([canonical(rule.normal(fields)) for fields in each.get(name, [])] for each in (ours, theirs))
        parts = Parts(EffectKind.RECORD, name)
        parts.bag(bag_of(texts, others, in_place=False), "record")
        yield from parts.differences()


def _values(undisturbed: Effects, found: Effects, ignored: Ignored) -> Iterator[Difference]:
    ours, theirs = contents.values_of(undisturbed, ignored), contents.values_of(found, ignored)
    for key in sorted(dict.fromkeys((*ours, *theirs)), key=lambda each: each[0] is EffectKind.RESULT):  # which is last
        parts, rule = Parts(*key), ignored.values.get(key, JsonRule())
        if key in ours and key in theirs:
            _json(parts, "", rule.normal(ours[key]), rule.normal(theirs[key]))
            yield from parts.differences()
        else:
            in_undisturbed = key in ours
            value = canonical((ours if in_undisturbed else theirs)[key])
            yield from _in_one(parts, "value", value, in_undisturbed=in_undisturbed)


def _tmp(undisturbed: Effects, found: Effects, ignored: Ignored) -> list[Difference]:
    """What is left in /tmp beside what the undisturbed run leaves; what is missing there ended with its instance."""
    ours, theirs = (
        Counter(ignored.tmp_names.normal(each) for each in effects.tmp if not ignored.has(EffectKind.TMP, each))
        for effects in (undisturbed, found)
    )
    return [
        Difference(Kind.LEFT_BEHIND, EffectKind.TMP, name, extra=(Part("file", "", "", ours[name], times),))
        for name, times in sorted(theirs.items())
        if times > ours[name] and (EffectKind.TMP, name) not in ignored.whole
    ]
