"""The normal form of a text, or of a value of JSON, in which something differs from run to run.

A line ``row 7 at 12:30:05`` becomes ``row 7 at …`` in every run, so that row 7 is still missed where it is lost. The
other way, to leave out each line that has a time in it, would leave nothing of most logs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from .effects import Json, canonical

ANY = "…"
"""The mark in a normal form for a part that differs from run to run."""

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
        """Learn from two texts. Returns the number of tokens that differ; 0 if nothing can be learned."""
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


def paired(first: Sequence[str], second: Sequence[str]) -> tuple[list[tuple[str, str]], list[str], list[str]]:
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


Path: TypeAlias = "tuple[str | None, ...]"
"""Keys on the way into a value of JSON; None is any index of a list."""


class RepeatedKey(str):
    """A key whose normal form its dict has already, with a number behind it."""

    __slots__ = ("of",)
    of: str
    """The normal form without the number."""


@dataclass
class JsonRule:
    """What differs from run to run within a value of JSON."""

    ignored: set[Path] = field(default_factory=set)
    unordered: set[Path] = field(default_factory=set)
    """Lists whose items come in any order."""
    texts: dict[Path, Tokens] = field(default_factory=dict)
    keys: dict[Path, Tokens] = field(default_factory=dict)

    def learn(self, first: Json, second: Json) -> None:
        """Learn from the same value of two runs: the normal forms of both are the same afterwards."""
        self._learn(first, second, ())
        if canonical(self.normal(first)) != canonical(self.normal(second)):
            self.ignored.add(())

    def _learn(self, first: Json, second: Json, path: Path) -> None:
        if canonical(first) == canonical(second):
            return
        if isinstance(first, dict) and isinstance(second, dict):
            self._learn_dict(first, second, path)
        elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
            if Counter(map(canonical, first)) == Counter(map(canonical, second)):
                self.unordered.add(path)
                return
            for one, other in zip(first, second, strict=True):
                self._learn(one, other, (*path, None))
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
        pairs, left, right = paired([each for each in first if each not in second], [*second.keys() - first.keys()])
        if left or right:
            self.ignored.add(path)
            return
        for one, other in pairs:
            self.keys.setdefault(path, Tokens()).add(one, other)
        if pairs:
            self.keys[path].keep(first.keys() & second.keys())
        normal = self.keys[path].normal if path in self.keys else str
        for one, other in (*pairs, *((each, each) for each in first if each in second)):
            self._learn(first[one], second[other], (*path, normal(one)))

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
                key = RepeatedKey(f"{normal} ({number})")
                key.of = normal
            found[key] = self.normal(item, (*path, normal))
        return found

    def names(self, of: str) -> Iterator[str]:
        """What is ignored of the value that is called *of*."""
        for path in sorted(self.ignored, key=path_text):
            yield f"{of}: {path_text(path) or 'its value'}"
        for path in sorted(self.unordered, key=path_text):
            yield f"{of}: the order of {path_text(path) or 'its items'}"
        for path in sorted(self.texts.keys() - self.ignored, key=path_text):
            yield f"{of}: tokens of {path_text(path) or 'its text'}"
        for path in sorted(self.keys, key=path_text):
            yield f"{of}: tokens of the keys{path_text(path) and ' of '}{path_text(path)}"


def path_text(path: Path) -> str:
    return "".join("[*]" if each is None else f"[{each!r}]" for each in path)


def field_text(path: Path) -> str:
    """The same where the first key is the name of a field or of a column."""
    return f"{path[0]}{path_text(path[1:])}"
