"""How what a run has left behind differs from the undisturbed run, and which differences mean nothing.

The undisturbed run is repeated with another start time and other request ids. What differs between these two
(``legitimate_differences``) is brought to one normal form in every run, and is ignored only where it has none: a line
``row 7 at 12:30:05`` becomes ``row 7 at …``, so that row 7 is still missed where it is lost. The other way, to leave
out each line that has a time in it, would leave nothing of most logs.

Things are compared as bags: how often each line, row, record or item of a list is there. What the undisturbed run has
more often is lost, and what it has less often is doubled. A thing that it does not have at all diverged.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, TypeAlias

from ..errors import Given
from .effects import Effects, FileContent, Json, Key, as_json, canonical

OTHER_START = timedelta(days=400, hours=7, minutes=31, seconds=17, microseconds=123_457)
"""How much later the repeated undisturbed run starts: each part of each time in it is another one then, as in none is a
multiple of its range. A part that is the same in both by chance would be compared as if it belonged to the handler."""

ANY = "…"
"""What stands in a normal form for what differs from run to run."""


class Kind(str, Enum):
    """What is wrong with a run."""

    LOST = "lost"
    DOUBLED = "doubled"
    DIVERGED = "diverged"
    LATE = "late"
    NEVER_FINISHES = "never finishes"
    LEFT_BEHIND = "left behind"
    FAILED_CHECK = "check failed"


class EffectKind(str, Enum):
    """Where."""

    FILE = "file"
    ROW = "row"
    RECORD = "record"
    OBSERVED = "observed"
    RESULT = "result"
    TMP = "tmp"
    STOP = "stop"
    """How long the stop took."""
    EVENTS = "events"
    """How the events of the run ended."""
    CHECK = "check"
    """What the test itself asks."""


Unit = Literal[
    "file", "directory", "symbolic link", "database", "special file", "bytes", "target", "line", "lines in order",
    "table", "row", "columns", "record", "value", "key", "item", "items in order",
]  # fmt: skip


_ENTRIES = frozenset({"file", "directory", "symbolic link", "database", "special file"})


class Part(NamedTuple):
    """One thing of an effect, as it is in the undisturbed run (in ``missing``) or in the other one (in ``extra``)."""

    unit: Unit
    where: str = ""
    """The place within the effect: the number of a line, the path to a value of JSON, or JSON of the columns by which a
    row is known."""
    value: str = ""
    """The text of a line, else JSON; of ``columns`` those that differ."""
    undisturbed: int = 1
    """How often the undisturbed run has it; of ``bytes``, how many."""
    found: int = 0
    """The same of the other run."""


@dataclass(frozen=True)
class Difference:
    """One way in which one effect differs. Where it diverged and both have parts, the nth belongs to the nth."""

    kind: Kind
    effect: EffectKind
    name: str
    """A path relative to the run's directory, ``database:table``, the name of a record or of an observed value."""
    missing: tuple[Part, ...] = ()
    extra: tuple[Part, ...] = ()


# -- what is ignored ---------------------------------------------------------------------------------------------------

Ignore: TypeAlias = "str | Callable[[str], object]"


@dataclass(frozen=True)
class IgnoredByUser:
    """What the test gave as ``ignore=``."""

    names: tuple[str, ...] = ()
    """Names, and patterns of them as for files in a shell, in which ``*`` stands for slashes, too."""
    functions: tuple[Callable[[str], object], ...] = ()

    def has(self, name: str) -> bool:
        """Whether what has this name is ignored."""
        if any(name == each or fnmatchcase(name, each) for each in self.names):
            return True
        return any(function(name) for function in self.functions)


def ignored_by_user(items: Ignore | Iterable[Ignore] | None) -> IgnoredByUser:
    """The value of ``ignore=``. Raises ``ScfUsageError`` for what cannot be the name of an effect."""
    given = Given("ignore", items)
    several: object = items
    if several is None:
        return IgnoredByUser()
    if isinstance(several, str) or callable(several):
        several = (several,)
    if not isinstance(several, Iterable) or isinstance(several, (bytes, Mapping)):
        given.refuse(f"it is {_VALID_IGNORE}")
    names: list[str] = []
    functions: list[Callable[[str], object]] = []
    for item in several:
        if isinstance(item, str) and item.strip():
            if item.startswith("/"):
                given.refuse(f"{item!r} is an absolute path, and files have their paths relative to run.path")
            names.append(item)
        elif callable(item):
            functions.append(item)
        else:
            given.refuse(f"{item!r} is none of these: {_VALID_IGNORE}")
    return IgnoredByUser(tuple(names), tuple(functions))


_VALID_IGNORE = (
    "names of files relative to run.path (or patterns such as '*.log'), records, observed values, tables "
    "('orders.db:orders') and columns ('orders.db:orders.created_at'), and functions that get such a name"
)

_TOKEN = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"  # a request id
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"  # a time, the fraction of which may be 0
    r"|\d\d:\d\d:\d\d(?:[.,]\d+)?"
    r"|\d+\.\d+"
    r"|\w+"
    r"|[^\w\s]"
)


class Tokens:
    """Texts in which the same tokens differ from run to run, and their normal form.

    A token is a request id, a time, a number, a word or one other character. Two texts of the same number of tokens
    make a pattern, in which the tokens that differ stand for any other one.
    """

    def __init__(self) -> None:
        self._shapes: dict[tuple[int, tuple[int, ...]], set[tuple[str, ...]]] = {}
        self._normal: dict[str, str] = {}

    def add(self, first: str, second: str) -> int:
        """Learn from two texts; how many tokens differ, 0 where nothing can be learned."""
        ours, theirs = _TOKEN.findall(first), _TOKEN.findall(second)
        if len(ours) != len(theirs):
            return 0
        different = tuple(at for at, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other)
        if different:
            shape = (len(ours), different)
            if shape not in self._shapes:
                # Those with fewer tokens that may be anything come first: they say more about a text.
                shapes = {**self._shapes, shape: set[tuple[str, ...]]()}
                self._shapes = dict(sorted(shapes.items(), key=lambda each: (len(each[0][1]), each[0])))
            self._shapes[shape].add(_without(ours, different))
        return len(different)

    def keep(self, texts: Iterable[str]) -> None:
        """Leave these texts as they are, whatever pattern they match: they are the same in each run."""
        self._normal.update((text, text) for text in texts)

    def remember(self, texts: Iterable[str]) -> None:
        """Keep the normal forms of texts that each run is compared with."""
        self._normal.update((text, self.normal(text)) for text in texts)

    def normal(self, text: str) -> str:
        """*text*, with ``ANY`` in the place of each token that differs from run to run."""
        if not self._shapes:
            return text
        known = self._normal.get(text)
        if known is not None:
            return known
        spans = [match.span() for match in _TOKEN.finditer(text)]
        tokens = [text[start:end] for start, end in spans]
        for (number, different), patterns in self._shapes.items():
            if number == len(tokens) and _without(tokens, different) in patterns:
                pieces: list[str] = []
                end = 0
                for at in different:
                    pieces += (text[end : spans[at][0]], ANY)
                    end = spans[at][1]
                return "".join((*pieces, text[end:]))
        return text


def _without(tokens: Sequence[str], different: Sequence[int]) -> tuple[str, ...]:
    kept = [*tokens]
    for at in different:
        kept[at] = ANY
    return tuple(kept)


Path: TypeAlias = "tuple[str | None, ...]"
"""Keys on the way into a value of JSON; None is any index of a list."""


class _Again(str):
    """A key whose normal form its dict has already."""

    __slots__ = ("of",)
    of: str


@dataclass
class JsonRule:
    """What differs from run to run within a value of JSON."""

    ignored: set[Path] = field(default_factory=set)
    unordered: set[Path] = field(default_factory=set)
    """Lists whose items come in any order."""
    texts: dict[Path, Tokens] = field(default_factory=dict)
    keys: dict[Path, Tokens] = field(default_factory=dict)

    def learn(self, first: Json, second: Json, path: Path = ()) -> None:
        """Learn from the same value of two runs."""
        if canonical(first) == canonical(second):
            return
        if isinstance(first, dict) and isinstance(second, dict):
            self._learn_dict(first, second, path)
        elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
            if Counter(map(canonical, first)) == Counter(map(canonical, second)):
                self.unordered.add(path)
                return
            for one, other in zip(first, second, strict=True):
                self.learn(one, other, (*path, None))
        elif not (isinstance(first, str) and isinstance(second, str) and self._learn_text(first, second, path)):
            self.ignored.add(path)

    def _learn_text(self, first: str, second: str, path: Path) -> bool:
        """Whether some words are the same in both: of a mere time or id nothing is worth comparing."""
        if not any(
            one == other and one[0].isalnum()
            for one, other in zip(_TOKEN.findall(first), _TOKEN.findall(second), strict=False)
        ):
            return False
        return bool(self.texts.setdefault(path, Tokens()).add(first, second))

    def _learn_dict(self, first: dict[str, Json], second: dict[str, Json], path: Path) -> None:
        pairs, left, right = _paired([each for each in first if each not in second], [*second.keys() - first.keys()])
        if left or right:
            self.ignored.add(path)
            return
        for one, other in pairs:
            self.keys.setdefault(path, Tokens()).add(one, other)
        if pairs:
            self.keys[path].keep(first.keys() & second.keys())
        normal = self.keys[path].normal if path in self.keys else str
        for one, other in (*pairs, *((each, each) for each in first if each in second)):
            self.learn(first[one], second[other], (*path, normal(one)))

    def normal(self, value: Json, path: Path = ()) -> Json:
        """*value* with ``ANY`` in the place of what differs from run to run."""
        if path in self.ignored:
            return ANY
        if isinstance(value, str) and path in self.texts:
            return self.texts[path].normal(value)
        if isinstance(value, list):
            items = [self.normal(item, (*path, None)) for item in value]
            return sorted(items, key=canonical) if path in self.unordered else items
        if not isinstance(value, dict):
            return value
        name_of = self.keys[path].normal if path in self.keys else str
        found: dict[str, Json] = {}
        for name, item in value.items():
            normal = name_of(name)
            key, number = normal, 1
            while key in found:
                number += 1
                key = _Again(f"{normal} ({number})")
                key.of = normal
            found[key] = self.normal(item, (*path, normal))
        return found

    def names(self, of: str) -> Iterator[str]:
        """What is ignored of the value that is called *of*."""
        for path in sorted(self.ignored, key=_path_text):
            yield f"{of}: {_path_text(path) or 'its value'}"
        for path in sorted(self.unordered, key=_path_text):
            yield f"{of}: the order of {_path_text(path) or 'its items'}"
        for path in sorted(self.texts.keys() - self.ignored, key=_path_text):
            yield f"{of}: tokens of {_path_text(path) or 'its text'}"
        for path in sorted(self.keys, key=_path_text):
            yield f"{of}: tokens of the keys{_path_text(path) and ' of '}{_path_text(path)}"


def _json_rule(first: Json, second: Json, rule: JsonRule | None = None) -> JsonRule:
    """What differs between the same value of two runs, so that the normal forms of both are the same."""
    rule = rule or JsonRule()
    rule.learn(first, second)
    if canonical(rule.normal(first)) != canonical(rule.normal(second)):
        rule.ignored.add(())
    return rule


def _path_text(path: Path) -> str:
    return "".join("[*]" if each is None else f"[{each!r}]" for each in path)


def _field_text(path: Path) -> str:
    """The same where the first key is the name of a field or of a column."""
    return f"{path[0]}{_path_text(path[1:])}"


_NOTHING: Literal["nothing"] = "nothing"
FileRule: TypeAlias = "JsonRule | Tokens | Literal['nothing']"
"""What differs within a file: in its JSON, in its lines, or so that nothing of its content is compared."""


@dataclass
class Ignored:
    """What is not compared, and what has a normal form."""

    names: list[str] = field(default_factory=list)
    """What differs between two undisturbed runs, for the report."""
    by_user: IgnoredByUser = field(default_factory=IgnoredByUser)
    whole: set[tuple[EffectKind, str]] = field(default_factory=set)
    """Effects of which nothing is compared, as the undisturbed runs do not even have as many things in them."""
    file_names: Tokens = field(default_factory=Tokens)
    tmp_names: Tokens = field(default_factory=Tokens)
    files: dict[str, FileRule] = field(default_factory=dict)
    """By the normal form of a file's name."""
    columns: dict[str, set[str]] = field(default_factory=dict)
    """By table (``orders.db:orders``)."""
    values: dict[tuple[EffectKind, str], JsonRule] = field(default_factory=dict)
    """Of the fields of records, of observed values and of the result."""

    def has(self, effect: EffectKind, name: str) -> bool:
        """Whether nothing of this effect is compared."""
        return (effect, name) in self.whole or self.by_user.has(name)

    def ignores_column(self, table: str, column: str) -> bool:
        return column in self.columns.get(table, ()) or self.by_user.has(f"{table}.{column}")


def legitimate_differences(first: Effects, second: Effects, by_user: IgnoredByUser = IgnoredByUser()) -> Ignored:
    """What differs between two undisturbed runs, of which the second started later (``OTHER_START``)."""
    ignored = Ignored(by_user=by_user)
    if first != second:
        for learn in (_learn_files, _learn_rows, _learn_records, _learn_observed, _learn_result, _learn_tmp):
            learn(first, second, ignored)
        _ignore_rest(first, second, ignored)
    return ignored


def _ignore_rest(first: Effects, second: Effects, ignored: Ignored) -> None:
    """Leave out what still differs: nothing of it has a normal form that is the same in both."""
    for difference in (*compare(first, second, ignored), *compare(second, first, ignored)):
        effect, name = difference.effect, difference.name
        is_whole = any(part.unit in _ENTRIES for part in (*difference.missing, *difference.extra))
        if effect is EffectKind.FILE and (difference.kind is Kind.DIVERGED or not is_whole):
            ignored.files[name] = _NOTHING
            named = f"{name}: its content"
        else:
            ignored.whole.add((effect, name))
            named = f"{_column(name, '')}: its rows" if effect is EffectKind.ROW else f"{effect.value} {name}"
        if named not in ignored.names:
            ignored.names.append(named)


def _column(table: str, column: str) -> str:
    """``orders.db: orders.created_at``."""
    return f"{table.replace(':', ': ', 1)}{column and '.'}{column}"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _paired(first: Sequence[str], second: Sequence[str]) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """Pairs of names with the same number of tokens, the most alike first, and the names that have no such one."""
    pairs: list[tuple[str, str]] = []
    theirs = {each: _TOKEN.findall(each) for each in sorted(second)}
    alone: list[str] = []
    for one in sorted(first):
        ours = _TOKEN.findall(one)
        alike = {
            other: sum(map(str.__eq__, ours, tokens)) for other, tokens in theirs.items() if len(tokens) == len(ours)
        }
        if alike:
            best = max(alike, key=lambda other: alike[other])
            pairs.append((one, best))
            del theirs[best]
        else:
            alone.append(one)
    return pairs, alone, [*theirs]


def _learn_names(
    first: Iterable[str], second: Iterable[str], tokens: Tokens, effect: EffectKind, ignored: Ignored
) -> list[tuple[str, str]]:
    """Learn from names that only one run has; the pairs of names of which each is the other's."""
    ours, theirs = {*first}, {*second}
    pairs, left, right = _paired([*ours - theirs], [*theirs - ours])
    for one, other in pairs:
        tokens.add(one, other)
    tokens.keep(ours & theirs)
    ignored.names += sorted({f"{effect.value} {tokens.normal(one)}" for one, _ in pairs})
    for name in (*left, *right):
        ignored.whole.add((effect, name))
        ignored.names.append(f"{effect.value} {name}: only one of two undisturbed runs has it")
    return [*pairs, *((each, each) for each in ours & theirs)]


def _learn_files(first: Effects, second: Effects, ignored: Ignored) -> None:
    ours_named, theirs_named = (
        [each for each in effects.files if not ignored.by_user.has(each)] for effects in (first, second)
    )
    pairs = _learn_names(ours_named, theirs_named, ignored.file_names, EffectKind.FILE, ignored)
    for one, other in sorted(pairs):
        ours, theirs, name = first.files[one], second.files[other], ignored.file_names.normal(one)
        known = ignored.files.get(name)
        if ours != theirs and known != _NOTHING:
            ignored.files[name], what = _file_rule(name, ours, theirs, known)
            ignored.names += what


def _file_rule(
    name: str, first: FileContent, second: FileContent, rule: JsonRule | Tokens | None
) -> tuple[FileRule, Iterable[str]]:
    if first.kind != "file" or second.kind != "file" or first.content is None or second.content is None:
        return _NOTHING, [f"{name}: its content"]
    ours, theirs = _document(name, first.content), _document(name, second.content)
    if ours is not None and theirs is not None and not isinstance(rule, Tokens):
        found = _json_rule(ours.value, theirs.value, rule)
        return found, found.names(name)
    are_lines = ours is None and theirs is None and _is_text(first.content) and _is_text(second.content)
    if not are_lines or isinstance(rule, JsonRule) or _ends_line(first.content) != _ends_line(second.content):
        return _NOTHING, [f"{name}: its content"]
    lines, others = _lines(first.content), _lines(second.content)
    if len(lines) != len(others):
        return _NOTHING, [f"{name}: its content, {_counted(len(lines), 'line')} and {_counted(len(others), 'line')}"]
    tokens = rule or Tokens()
    different = Counter[int]()
    differing: set[str] = set()
    for line, other in zip(lines, others, strict=True):
        if line != other:
            different[tokens.add(line, other)] += 1
            differing |= {line, other}
    tokens.keep({*lines} - differing)
    if 0 in different:
        return _NOTHING, [f"{name}: its content"]
    tokens.remember(lines)
    return tokens, [
        f"{name}: {_counted(number, 'token')} of {_counted(times, 'line')}"
        for number, times in sorted(different.items())
    ]


def _learn_rows(first: Effects, second: Effects, ignored: Ignored) -> None:
    ours, theirs = _tables(first, ignored), _tables(second, ignored)
    for name in sorted(ours.keys() | theirs.keys()):
        table, other = ours.get(name), theirs.get(name)
        if table is None or other is None or len(table.rows) != len(other.rows):
            ignored.whole.add((EffectKind.ROW, name))
            counts = [_counted(len(each.rows), "row") if each else "no table" for each in (table, other)]
            ignored.names.append(f"{_column(name, '')}: {' and '.join(counts)}")
            continue
        for column in dict.fromkeys(column for row in (*table.rows, *other.rows) for column in row):
            values, others = (Counter(canonical(row.get(column)) for row in each.rows) for each in (table, other))
            if values != others and not ignored.by_user.has(f"{name}.{column}"):
                ignored.columns.setdefault(name, set()).add(column)
                ignored.names.append(_column(name, column))


def _learn_records(first: Effects, second: Effects, ignored: Ignored) -> None:
    ours, theirs = _records(first, ignored), _records(second, ignored)
    for name in sorted(ours.keys() | theirs.keys()):
        fields, others = ours.get(name, []), theirs.get(name, [])
        if len(fields) != len(others):
            ignored.whole.add((EffectKind.RECORD, name))
            ignored.names.append(f"record {name}: {len(fields):,} and {len(others):,} of them")
            continue
        rule = JsonRule()
        if Counter(map(canonical, fields)) != Counter(map(canonical, others)):
            for one, other in zip(fields, others, strict=True):
                _json_rule(one, other, rule)
        if () in rule.ignored:
            ignored.whole.add((EffectKind.RECORD, name))
            ignored.names.append(f"record {name}: its fields")
            continue
        ignored.values[EffectKind.RECORD, name] = rule
        ignored.names += [f"record {name}: {_field_text(path)}" for path in sorted(rule.ignored, key=_path_text)]
        ignored.names += JsonRule(set(), rule.unordered, rule.texts, rule.keys).names(f"record {name}")


def _learn_observed(first: Effects, second: Effects, ignored: Ignored) -> None:
    ours, theirs = _seen(first), _seen(second)
    for name in sorted(ours.keys() | theirs.keys()):
        if ignored.by_user.has(name):
            continue
        if name not in ours or name not in theirs:
            ignored.whole.add((EffectKind.OBSERVED, name))
            ignored.names.append(f"observed {name}: only one of two undisturbed runs has it")
            continue
        rule = ignored.values[EffectKind.OBSERVED, name] = _json_rule(ours[name], theirs[name])
        ignored.names += rule.names(f"observed {name}")


def _learn_result(first: Effects, second: Effects, ignored: Ignored) -> None:
    if ignored.by_user.has(_RESULT):
        return
    if first.has_result != second.has_result:
        ignored.whole.add((EffectKind.RESULT, _RESULT))
        ignored.names.append("result: only one of two undisturbed runs has it")
        return
    rule = ignored.values[EffectKind.RESULT, _RESULT] = _json_rule(first.result, second.result)
    ignored.names += rule.names(_RESULT)


def _learn_tmp(first: Effects, second: Effects, ignored: Ignored) -> None:
    ours, theirs = ([each for each in effects.tmp if not ignored.by_user.has(each)] for effects in (first, second))
    _learn_names(ours, theirs, ignored.tmp_names, EffectKind.TMP, ignored)


# -- bags --------------------------------------------------------------------------------------------------------------


class _Bag(NamedTuple):
    """What two sequences do not have as often; each as (thing, times undisturbed, times found), in their order."""

    missing: list[tuple[str, int, int]]
    doubled: list[tuple[str, int, int]]
    unknown: list[tuple[str, int, int]]
    """What the undisturbed run does not have at all."""
    changed: list[int]
    """Positions at which another thing stands, where these are all that differs."""


def _bag(undisturbed: Sequence[str], found: Sequence[str], *, in_place: bool) -> _Bag:
    ours, theirs = Counter(undisturbed), Counter(found)
    missing = [(thing, times, theirs[thing]) for thing, times in ours.items() if theirs[thing] < times]
    more = [(thing, ours[thing], times) for thing, times in theirs.items() if times > ours[thing]]
    doubled = [each for each in more if each[1]]
    unknown = [each for each in more if not each[1]]
    if in_place and missing and unknown and len(undisturbed) == len(found):
        changed = [at for at, one in enumerate(undisturbed) if one != found[at]]
        gone, new = {each[0] for each in missing}, {each[0] for each in unknown}
        if all(undisturbed[at] in gone and found[at] in new for at in changed):
            return _Bag([], [], [], changed)
    return _Bag(missing, doubled, unknown, [])


class _Parts:
    """The parts of one effect that differ, by kind."""

    def __init__(self, effect: EffectKind, name: str) -> None:
        self._effect = effect
        self._name = name
        self._lost: list[Part] = []
        self._doubled: list[Part] = []
        self._before: list[Part] = []
        self._after: list[Part] = []
        self._unknown: list[Part] = []

    def bag(self, bag: _Bag, unit: Unit, where: str = "") -> None:
        self._lost += [Part(unit, where, *each) for each in bag.missing]
        self._doubled += [Part(unit, where, *each) for each in bag.doubled]
        self._unknown += [Part(unit, where, *each) for each in bag.unknown]

    def lost(self, part: Part) -> None:
        self._lost.append(part)

    def doubled(self, part: Part) -> None:
        self._doubled.append(part)

    def unknown(self, part: Part) -> None:
        self._unknown.append(part)

    def changed(self, unit: Unit, where: str, before: str, after: str) -> None:
        self._before.append(Part(unit, where, before, 1, 0))
        self._after.append(Part(unit, where, after, 0, 1))

    def differences(self) -> list[Difference]:
        found = []
        if self._lost:
            found.append(Difference(Kind.LOST, self._effect, self._name, missing=tuple(self._lost)))
        if self._doubled:
            found.append(Difference(Kind.DOUBLED, self._effect, self._name, extra=tuple(self._doubled)))
        if self._before:
            parts = tuple(self._before), tuple(self._after)
            found.append(Difference(Kind.DIVERGED, self._effect, self._name, *parts))
        if self._unknown:
            found.append(Difference(Kind.DIVERGED, self._effect, self._name, extra=tuple(self._unknown)))
        return found


# -- comparing ---------------------------------------------------------------------------------------------------------

_RESULT = "result"


def compare(undisturbed: Effects, found: Effects, ignored: Ignored) -> list[Difference]:
    """Each difference, in the order files, rows, records, observed values, result, /tmp."""
    if undisturbed is found or undisturbed.digest() == found.digest():
        return []
    return [
        *_files(undisturbed, found, ignored),
        *_rows(undisturbed, found, ignored),
        *_compare_records(undisturbed, found, ignored),
        *_observed(undisturbed, found, ignored),
        *_result(undisturbed, found, ignored),
        *_tmp(undisturbed, found, ignored),
    ]


def _files(undisturbed: Effects, found: Effects, ignored: Ignored) -> list[Difference]:
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
    return [*_without_parents(alone), *differences]


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
    parts = _Parts(EffectKind.FILE, name)
    ours, theirs = undisturbed.content, found.content
    if undisturbed == found or rule == _NOTHING or (_is_database(undisturbed) and _is_database(found)):
        pass
    elif undisturbed.kind != found.kind:
        parts.changed(undisturbed.kind, "", undisturbed.kind, found.kind)
    elif undisturbed.kind == "symbolic link":
        parts.changed("target", "", *(json.dumps(_text(each or b"")) for each in (ours, theirs)))
    elif ours is None or theirs is None:
        _other_bytes(
            parts, *(each.size if each.content is None else len(each.content) for each in (undisturbed, found))
        )
    else:
        _other_content(parts, name, ours, theirs, rule)
    return parts.differences()


def _other_content(parts: _Parts, name: str, ours: bytes, theirs: bytes, rule: FileRule | None) -> None:
    document, other = _document(name, ours), _document(name, theirs)
    if document is not None and other is not None:
        json_rule = rule if isinstance(rule, JsonRule) else JsonRule()
        _json(parts, "", json_rule.normal(document.value), json_rule.normal(other.value))
        return
    is_prefix = ours.startswith(theirs)
    if not (_is_text(ours) and _is_text(theirs)) or (document is not None and (is_prefix or _is_json_by_name(name))):
        if is_prefix:
            parts.lost(Part("bytes", "", "", len(ours), len(theirs)))
        else:
            _other_bytes(parts, len(ours), len(theirs))
        return
    lines, others = _lines(ours), _lines(theirs)
    if isinstance(rule, Tokens):
        lines, others = [*map(rule.normal, lines)], [*map(rule.normal, others)]
    if others and (others[-1] != lines[len(others) - 1] if is_prefix else _is_torn(ours, theirs, lines, others[-1])):
        others = others[:-1]
    bag = _bag(lines, others, in_place=True)
    parts.bag(bag, "line")
    for at in bag.changed:
        parts.changed("line", str(at + 1), lines[at], others[at])
    if any(bag):
        return
    if lines != others:
        at = next(at for at, line in enumerate(lines) if line != others[at])
        parts.changed("lines in order", str(at + 1), lines[at], others[at])
    elif not isinstance(rule, Tokens) or _ends_line(ours) != _ends_line(theirs):
        if is_prefix:
            parts.lost(Part("bytes", "", "", len(ours), len(theirs)))
        else:
            _other_bytes(parts, len(ours), len(theirs))


def _other_bytes(parts: _Parts, undisturbed: int, found: int) -> None:
    parts.changed("bytes", "", f"{undisturbed}", f"{found}")


class _Document(NamedTuple):
    value: Json


_NO_JSON = (".jsonl", ".ndjson", ".log", ".txt", ".csv")
"""Files of lines, of which a single one may be JSON by itself."""


def _is_json_by_name(name: str) -> bool:
    return name.lower().endswith(".json")


def _document(name: str, content: bytes) -> _Document | None:
    """What a file of JSON has: one that is called so, or begins with a bracket and has no name of a file of lines."""
    if not _is_json_by_name(name) and (content.lstrip()[:1] not in (b"{", b"[") or name.lower().endswith(_NO_JSON)):
        return None
    try:
        return _Document(as_json(json.loads(content)))
    except (ValueError, RecursionError):
        return None


def _is_text(content: bytes) -> bool:
    """As git decides it."""
    return b"\0" not in content[:8192]


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _is_torn(ours: bytes, theirs: bytes, lines: Sequence[str], last: str) -> bool:
    """Whether the last line of a file that ends with a newline was written in part."""
    return _ends_line(ours) and not _ends_line(theirs) and last not in lines


def _ends_line(content: bytes) -> bool:
    return content.endswith(b"\n")


def _lines(content: bytes) -> list[str]:
    lines = _text(content).split("\n")
    return lines[:-1] if not lines[-1] else lines


def _json(parts: _Parts, where: str, ours: Json, theirs: Json) -> None:
    before, after = canonical(ours), canonical(theirs)
    if before == after:
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        _json_dicts(parts, where, ours, theirs)
    elif isinstance(ours, list) and isinstance(theirs, list):
        items, others = [*map(canonical, ours)], [*map(canonical, theirs)]
        bag = _bag(items, others, in_place=True)
        parts.bag(bag, "item", where)
        for at in bag.changed:
            _json(parts, f"{where}[{at}]", ours[at], theirs[at])
        if not any(bag):
            at = next(at for at, item in enumerate(items) if item != others[at])
            parts.changed("items in order", f"{where}[{at}]", items[at], others[at])
    else:
        parts.changed("value", where, before, after)


def _json_dicts(parts: _Parts, where: str, ours: dict[str, Json], theirs: dict[str, Json]) -> None:
    for name, value in ours.items():
        place = f"{where}[{name!r}]"
        if name in theirs:
            _json(parts, place, value, theirs[name])
        else:
            parts.lost(Part("key", place, canonical(value)))
    for name, value in theirs.items():
        if name not in ours:
            part = Part("key", f"{where}[{name!r}]", canonical(value), 0, 1)
            again = isinstance(name, _Again) and name.of in ours and canonical(ours[name.of]) == part.value
            (parts.doubled if again else parts.unknown)(part)


# -- rows --------------------------------------------------------------------------------------------------------------


class _Table(NamedTuple):
    rows: list[dict[str, Json]]
    key: Key


def _tables(effects: Effects, ignored: Ignored) -> dict[str, _Table]:
    """Tables by ``database:table``, the databases by the normal form of their names."""
    found: dict[str, _Table] = {}
    for (database, table), rows in effects.rows.items():
        name = f"{ignored.file_names.normal(database)}:{table}"
        if ignored.has(EffectKind.FILE, database) or ignored.has(EffectKind.ROW, name):
            continue
        if name in found:
            found[name].rows.extend(rows)
        else:
            found[name] = _Table([*rows], effects.keys.get((database, table), Key()))
    return found


def _rows(undisturbed: Effects, found: Effects, ignored: Ignored) -> list[Difference]:
    ours, theirs = _tables(undisturbed, ignored), _tables(found, ignored)
    only_one = _only_in_one(undisturbed, found, ignored)
    differences: list[Difference] = []
    for name in sorted(ours.keys() | theirs.keys()):
        if name.startswith(only_one):  # a file is lost or left behind, and its rows with it
            continue
        table, other = ours.get(name), theirs.get(name)
        if table is None or other is None:
            parts = _Parts(EffectKind.ROW, name)
            if table is not None:
                parts.lost(Part("table", "", "", 1, 0))
            else:
                parts.unknown(Part("table", "", "", 0, 1))
            differences += parts.differences()
        elif table.rows != other.rows:
            differences += _compare_rows(name, table, other, ignored)
    return differences


def _only_in_one(undisturbed: Effects, found: Effects, ignored: Ignored) -> tuple[str, ...]:
    """How the names of tables begin whose database is none, or not there, in one of the runs."""
    normal = ignored.file_names.normal
    ours, theirs = (
        {normal(name): _is_database(content) for name, content in effects.files.items()}
        for effects in (undisturbed, found)
    )
    return tuple(
        f"{name}:" for name in ours.keys() | theirs.keys() if not (ours.get(name, False) and theirs.get(name, False))
    )


def _is_database(content: FileContent) -> bool:
    """An empty file is a database without tables, too."""
    return content.kind == "database" or content == FileContent("file")


class _Row(NamedTuple):
    """Three texts, each of them JSON."""

    text: str
    """All columns that are compared."""
    values: str
    """The same without a key that SQLite gives by itself."""
    key: str
    """The primary key; empty where the table has none, or one that differs from run to run."""


def _compare_rows(name: str, undisturbed: _Table, found: _Table, ignored: Ignored) -> list[Difference]:
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
    parts = _Parts(EffectKind.ROW, name)
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
        parts.lost(Part("row", row.key or row.text, row.text, *counts))
    for row in dict.fromkeys(extra):
        again = before[row.values] > 0
        what = row.values if again else row.key or row.text
        part = Part("row", what, row.text, before[row.values], after[row.values])
        (parts.doubled if again else parts.unknown)(part)
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


def _changed_row(parts: _Parts, one: _Row, other: _Row) -> None:
    ours, theirs = json.loads(one.text), json.loads(other.text)
    same = {each for each in ours if each in theirs and ours[each] == theirs[each]}
    before, after = ({each: row[each] for each in row if each not in same} for row in (ours, theirs))
    parts.changed("columns", one.key or one.text, json.dumps(before), json.dumps(after))


# -- records, observed values, result and /tmp -------------------------------------------------------------------------


def _records(effects: Effects, ignored: Ignored) -> dict[str, list[dict[str, Json]]]:
    """The fields of records by name, in order."""
    found: dict[str, list[dict[str, Json]]] = {}
    for name, fields in effects.records:
        found.setdefault(name, []).append(fields)
    return {name: fields for name, fields in found.items() if not ignored.has(EffectKind.RECORD, name)}


def _compare_records(undisturbed: Effects, found: Effects, ignored: Ignored) -> list[Difference]:
    ours, theirs = _records(undisturbed, ignored), _records(found, ignored)
    differences: list[Difference] = []
    for name in dict.fromkeys((*ours, *theirs)):
        rule = ignored.values.get((EffectKind.RECORD, name), JsonRule())
        texts, others = ([canonical(rule.normal(fields)) for fields in each.get(name, [])] for each in (ours, theirs))
        parts = _Parts(EffectKind.RECORD, name)
        parts.bag(_bag(texts, others, in_place=False), "record")
        differences += parts.differences()
    return differences


def _observed(undisturbed: Effects, found: Effects, ignored: Ignored) -> list[Difference]:
    ours, theirs = _seen(undisturbed), _seen(found)
    differences: list[Difference] = []
    for name in dict.fromkeys((*ours, *theirs)):
        if not ignored.has(EffectKind.OBSERVED, name):
            there, is_there = name in ours, name in theirs
            differences += _values(
                EffectKind.OBSERVED, name, (there, ours.get(name)), (is_there, theirs.get(name)), ignored
            )
    return differences


def _seen(effects: Effects) -> dict[str, Json]:
    """What the test and plugins observed; a plugin's name that the test has, too, is said to be the plugin's."""
    seen = effects.observed
    return {**seen, **{f"{name} (plugin)" if name in seen else name: value for name, value in effects.more.items()}}


def _result(undisturbed: Effects, found: Effects, ignored: Ignored) -> list[Difference]:
    if ignored.has(EffectKind.RESULT, _RESULT):
        return []
    ours, theirs = (undisturbed.has_result, undisturbed.result), (found.has_result, found.result)
    return _values(EffectKind.RESULT, _RESULT, ours, theirs, ignored)


def _values(
    effect: EffectKind, name: str, undisturbed: tuple[bool, Json], found: tuple[bool, Json], ignored: Ignored
) -> list[Difference]:
    """Differences between two values, each of which may not be there."""
    rule = ignored.values.get((effect, name), JsonRule())
    (was_there, ours), (is_there, theirs) = undisturbed, found
    parts = _Parts(effect, name)
    if was_there and is_there:
        _json(parts, "", rule.normal(ours), rule.normal(theirs))
    elif was_there:
        parts.lost(Part("value", "", canonical(ours), 1, 0))
    elif is_there:
        parts.unknown(Part("value", "", canonical(theirs), 0, 1))
    return parts.differences()


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
