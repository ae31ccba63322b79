"""The effects around an interruption, as data: what each did to its file, and where in the code it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..protocol.disk_record import PAGE, Effect, NodeKind, Sync
from .states import DiskRecord, Image, library_of, place_of, without_numbers

BEFORE, AFTER = 64, 64
"""How many effects on each side are kept: a file that is written piece by piece has many."""


class FileThen(NamedTuple):
    """One file at one moment."""

    kind: NodeKind
    size: int
    """In bytes."""
    ends_line: bool
    """Whether its last byte ends a line; true of an empty file."""


class NearEffect(NamedTuple):
    """One effect near an interruption."""

    number: int
    """Among the effects of the event, from 1 on."""
    call: str
    paths: tuple[str, ...]
    text: str
    """As reports show it: ``rename new to state``."""
    function: str
    """The library's function that the user's line has called: ``Path.write_text``; empty: not known."""
    file: str
    """The file of that line; empty: not known."""
    line: int
    thread: int
    time_us: int
    """The simulated time at which it began."""
    size: int
    """How many bytes a write, or what is sent, has; 0: none."""
    said: bool
    """It communicates with another process and changes no file."""
    other: str
    """Who makes it, where that is not the main thread, whose line a point names: ``another thread``."""
    before: FileThen | None
    """The file at its last path when it began; None: there was none."""
    after: FileThen | None
    """The file there when the next effect of its thread began."""
    library: str
    """The library of that function, if it decides itself how its files are written; else empty."""

    @property
    def path(self) -> str:
        """The path that it is about; for a rename the new one, for communication the address."""
        return self.paths[-1] if self.paths else ""

    @property
    def place(self) -> str:
        """``train.py:11``; empty: not known."""
        return f"{self.file}:{self.line}" if self.file else ""

    @property
    def empties(self) -> bool:
        """Whether it has left its file empty: it has truncated it, or made it."""
        return self.call in ("open", "creat", "truncate") and self.after is not None and not self.after.size


@dataclass(frozen=True)
class Surroundings:
    """The effects around one interruption, in their order."""

    effects: tuple[NearEffect, ...]
    begun: int
    """The number of effects that had begun by the interruption: for a kill at ``effect#2``, one."""
    turns: Mapping[int, int] = field(default_factory=dict)
    """Of the effects that the same line makes in the same way as the one that the interruption precedes: which pass of
    the line each is in, by its number."""
    stopped_at: int | None = None
    """The number of effects that had begun by the SIGTERM before the interruption; None: there was none."""
    total: int = 0
    """The number of effects of the event without the interruption, though with that SIGTERM."""
    resumes: bool = False
    """The event went on: the effects after the interruption are its own."""
    missed: tuple[NearEffect, ...] = ()
    """If so, the effects that it would have made next without the interruption."""

    def numbered(self, number: int) -> NearEffect | None:
        """The effect with that *number*, where it is near."""
        return next((each for each in self.effects if each.number == number), None)

    @property
    def next(self) -> NearEffect | None:
        """The first effect that had not begun."""
        return self.numbered(self.begun + 1)


def surroundings(
    record: DiskRecord,
    begun: int,
    *,
    also: int = 0,
    stopped_at: int | None = None,
    resumes: bool = False,
    named: DiskRecord | None = None,
) -> Surroundings:
    """Those of an interruption before which *begun* effects of *record* had begun, and the effect *also* among them.

    *named* is another record of the same event up to then, which has the functions that this one may lack.
    """
    wanted = {*range(begun - BEFORE + 1, begun + AFTER + 1), also}
    known = [] if named is None else named.effects
    found = tuple(_near(record, wanted, known[:begun]))
    missed: tuple[NearEffect, ...] = ()
    if resumes and named is not None:
        missed = tuple(_near(named, {*range(begun + 1, begun + AFTER + 1)}, known))
    return Surroundings(found, begun, _turns(record, begun + 1), stopped_at, len(record.effects), resumes, missed)


def begun_at_sync(record: DiskRecord, number: int) -> int:
    """The number of effects that had begun by the sync call with that *number*."""
    begun = 0
    for item, _ in record.items:
        if isinstance(item, Sync) and item.number == number:
            return begun
        begun += isinstance(item, Effect)
    return begun


def _near(record: DiskRecord, wanted: set[int], named: list[Effect]) -> Iterator[NearEffect]:
    image, number = Image(), 0
    under_way: dict[int, NearEffect] = {}
    found: dict[int, NearEffect] = {}

    def end(thread: int) -> None:
        effect = under_way.pop(thread, None)
        if effect is not None:
            found[effect.number] = effect._replace(after=_file(image, effect))

    for item, content in record.items:
        if isinstance(item, Effect):
            number += 1
            end(item.thread)
            if number in wanted:
                same = named[number - 1] if number <= len(named) else None
                is_same = same is not None and without_numbers(same.text) == without_numbers(item.text)
                function = same.function if same is not None and is_same else item.function
                near = NearEffect(
                    *(number, item.call, tuple(item.paths), item.text, *place_of(function), item.thread, item.time_us),
                    *(max(item.stop - item.start, 0), bool(item.said), item.other, None, None, library_of(function)),
                )
                under_way[item.thread] = near._replace(before=_file(image, near))
        image.apply(item, content)
    for thread in [*under_way]:
        end(thread)
    for each in sorted(found):
        yield found[each]


def _file(image: Image, effect: NearEffect) -> FileThen | None:
    inode = None if effect.said else image.inodes.get(effect.path)
    if inode is None:
        return None
    node = image.nodes[inode]
    last, at = divmod(max(node.entry.size - 1, 0), PAGE)
    ends_line = not node.entry.size or node.pages.get(last, b"")[at : at + 1] == b"\n"
    return FileThen(node.entry.kind, node.entry.size, ends_line)


def _turns(record: DiskRecord, number: int) -> dict[int, int]:
    if not 1 <= number <= len(record.effects):
        return {}

    def way(effect: Effect) -> tuple[str, str]:
        return effect.function, without_numbers(effect.text)

    wanted = way(record.effects[number - 1])
    alike = [at for at, each in enumerate(record.effects, 1) if way(each) == wanted]
    return {at: turn for turn, at in enumerate(alike, 1)}
