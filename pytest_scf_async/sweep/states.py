"""The states of a run's directory that a kill can leave, from the record of one run.

They are made one after the other, as each is the one before with a change: a record of many small changes of a large
file is never held as many large files.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from ..protocol.disk_record import PAGE, Data, Effect, Entry, Forgotten, Gone, Item, LivesOn, Problem, Sync
from .effects import may_be_read, walk

_SPECIAL: Final = {"socket": stat.S_IFSOCK, "pipe": stat.S_IFIFO}
LARGE_INODE: Final = 1 << 16
"""Smaller numbers may mean anything, ..."""
SMALL_INODE: Final = 1_000
"""... unless two runs, in which files have other numbers, have those of theirs; and still smaller ones in any case."""
_LOOKED_AT: Final = 1 << 16
"""Bytes of what is written at once in which an inode number is looked for."""
_NUMBER: Final = re.compile(rb"(?<![0-9A-Za-z.])0*([1-9a-f][0-9a-f]{3,19})(?![0-9A-Za-z.])")
_MODULUS = 1 << 128
FilesLeft = Mapping[str, tuple[int, int]] | None
"""The files in a directory by their paths, each with its size and a hash of its content; None: some cannot be read."""
_END = "the end"


def _hash(*parts: object) -> int:
    hashed = hashlib.blake2b(digest_size=16)
    for part in parts:
        hashed.update(part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogatepass"))
        hashed.update(b"\0")
    return int.from_bytes(hashed.digest(), "little")


@dataclass
class Node:
    """What one path leads to, or several: hard links."""

    entry: Entry
    """Its last known entry, at one of its paths."""
    pages: dict[int, bytes] = field(default_factory=dict)
    """The content of a file by page, without the zeros at the end of each; a page of zeros alone is left out."""
    content: int = 0
    """A hash of that, which is a sum over the pages."""
    paths: set[str] = field(default_factory=set)

    def copy(self) -> Node:
        return Node(self.entry, dict(self.pages), self.content, self.paths)

    def with_content(self, pages: Mapping[int, bytes], size: int) -> Node:
        """A copy that has these pages, and that size."""
        made = self.copy()
        for number, content in pages.items():
            made.set_page(number, content)
        made.entry = made.entry._replace(size=size)
        return made

    def set_page(self, number: int, content: bytes) -> None:
        """Give a page another content."""
        before = self.pages.pop(number, b"")
        content = content.rstrip(b"\0")
        if before:
            self.content -= _hash(number, before)
        if content:
            self.pages[number] = content
            self.content += _hash(number, content)

    def resize(self, entry: Entry) -> None:
        """Take on how it is now: what lies beyond the end of a file is gone."""
        if entry.size < self.entry.size:
            last, rest = divmod(entry.size, PAGE)
            for number in [each for each in self.pages if each >= last]:
                self.set_page(number, self.pages[number][:rest] if number == last else b"")
        self.entry = entry


class Image:
    """A directory, as data."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.inodes: dict[str, int] = {}
        self._parts: dict[str, int] = {}
        self._sum = 0

    @property
    def digest(self) -> int:
        """Equal for equal directories: names, kinds, modes, contents, links, and the times that a call has set.

        What SQLite shares beside a database (``-shm``) is left out: it is memory, and made anew after a crash.
        """
        return self._sum

    def apply(self, item: Item, content: bytes = b"") -> None:
        """Apply a change that a record has."""
        if isinstance(item, Entry):
            node = self.nodes.get(item.inode)
            if node is None or node.entry.kind != item.kind:
                node = self.nodes[item.inode] = Node(item)
            node.resize(item)
            node.paths.add(item.path)
            self.inodes[item.path] = item.inode
            self._hash_anew(node)
        elif isinstance(item, Data):
            node = self.nodes[item.inode]
            for at in range(0, item.size, PAGE):
                node.set_page(item.page + at // PAGE, content[at : at + PAGE])
            self._hash_anew(node)
        elif isinstance(item, Gone):
            self.lead(item.path, None)
        elif isinstance(item, Forgotten):
            del self.nodes[item.inode]

    def lead(self, path: str, inode: int | None) -> None:
        """Have *path* lead to another file, which the directory has; None: to nothing."""
        if path in self.inodes:
            node = self.nodes[self.inodes.pop(path)]
            node.paths.discard(path)
            self._sum = (self._sum - self._parts.pop(path, 0)) % _MODULUS
            self._hash_anew(node)
        if inode is not None:
            self.inodes[path] = inode
            self.nodes[inode].paths.add(path)
            self._hash_anew(self.nodes[inode])

    def replace(self, inode: int, node: Node) -> None:
        """Replace the content of a file."""
        self.nodes[inode] = node
        self._hash_anew(node)

    def _hash_anew(self, node: Node) -> None:
        _, _, kind, mode, size, mtime_ns, stamped, target, attributes = node.entry
        how = kind, mode, size, target, mtime_ns if stamped else 0, attributes
        for path in node.paths:
            part = 0
            if not (path.endswith("-shm") and path.removesuffix("-shm") in self.inodes):
                part = _hash(path, *how, node.content, min(node.paths))
            self._sum = (self._sum - self._parts.get(path, 0) + part) % _MODULUS
            self._parts[path] = part

    def put(self, directory: Path) -> None:
        """Have *directory*, which is empty, be like this."""
        made: dict[int, str] = {}
        for path in sorted(self.inodes):
            inode = self.inodes[path]
            node, target = self.nodes[inode], os.path.join(directory, path)
            kind = node.entry.kind
            if kind == "directory":
                os.makedirs(target, 0o700, exist_ok=True)
            elif inode in made:
                os.link(made[inode], target, follow_symlinks=False)
            elif kind == "symbolic link":
                os.symlink(node.entry.target, target)
            elif kind == "file":
                _write(node, target)
            else:
                os.mknod(target, _SPECIAL[kind] | 0o600)
            made[inode] = target
        for inode, target in reversed(made.items()):  # a directory after what is in it
            entry = self.nodes[inode].entry
            for name, value in entry.attributes:
                os.setxattr(target, name, value, follow_symlinks=False)
            if entry.kind != "symbolic link":
                os.chmod(target, entry.mode)
            if entry.kind == "file":
                os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))


def _write(node: Node, target: str) -> None:
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for number, content in node.pages.items():
            os.pwrite(fd, content, number * PAGE)
        os.ftruncate(fd, node.entry.size)
    finally:
        os.close(fd)


def files_left(directory: Path) -> FilesLeft:
    """The files in *directory*."""
    found = {}
    for path, entry in walk(directory):
        if entry.is_symlink() or not os.path.lexists(entry.path):  # the latter: it went away meanwhile
            continue
        if not may_be_read(entry):
            return None
        if entry.is_file(follow_symlinks=False):
            with contextlib.suppress(FileNotFoundError):
                found[path] = entry.stat().st_size, _content_of(entry.path)
    return found


def _content_of(path: str) -> int:
    """As `Node.content`."""
    content = 0
    with open(path, "rb") as file:
        for number, page in enumerate(iter(lambda: file.read(PAGE), b"")):
            if page := page.rstrip(b"\0"):
                content += _hash(number, page)
    return content


def _writers(effects: Iterable[Effect]) -> set[int]:
    return {effect.thread for effect in effects if not (effect.said or effect.call == "record")}


def without_numbers(text: str) -> str:
    """*text* with the same number in place of each, as ids of processes are in names."""
    return re.sub(r"\d+", "0", text)


def place_of(function: str) -> tuple[str, str, int]:
    """The name of the function, the file and the line of what a record says: ``numpy.save@export.py:7@numpy``."""
    name, _, place = function.rpartition("@")[0].partition("@")
    file, _, line = place.rpartition(":")
    return name, file, int(line or 0)


def library_of(function: str) -> str:
    """The library that keeps files as it wants to, of what a record says; empty: it is none of these."""
    return function.rpartition("@")[2]


def _sequence(effects: Iterable[Effect]) -> list[str]:
    return [without_numbers(effect.text) for effect in effects]


def _differ_by_order(one: Sequence[Effect], two: Sequence[Effect]) -> bool:
    """Whether several threads or processes do the same in two runs, each of them in its own order.

    A pool shares its work in another way in each run: so of more than two the main thread's order has to be the same.
    """
    of_threads = [
        sorted(_sequence(group) for _, group in itertools.groupby(sorted(effects, key=_thread), _thread))
        for effects in (one, two)
    ]
    if of_threads[0] == of_threads[1]:
        return len(of_threads[0]) > 1
    mains = [[each for each in effects if not each.other] for effects in (one, two)]
    are_known = all(len(set(map(_thread, main))) == 1 for main in mains)
    are_alike = not are_known or _sequence(mains[0]) == _sequence(mains[1])
    return min(map(len, of_threads)) > 2 and are_alike and sorted(_sequence(one)) == sorted(_sequence(two))


def _thread(effect: Effect) -> int:
    return effect.thread


def alike_at_first(one: Sequence[object], other: Sequence[object]) -> int:
    """How many things at the beginning of two sequences are the same."""
    return sum(1 for _ in itertools.takewhile(lambda both: both[0] == both[1], zip(one, other, strict=False)))


class Missing(NamedTuple):
    """A change that was not on the disk when the machine was gone."""

    number: int
    """Of the effect that has made it; of the content of a file all later changes are missing, too."""
    cut: int
    """So many bytes of what it writes to were there; 0: nothing of it."""
    what: str
    """The file, or its name."""
    is_never_synced: bool
    after: Effect | None
    """The machine was gone right after this effect; None: right before the next one."""
    is_name: bool = False
    """What is missing is a name, and not the content of a file."""

    @property
    def name(self) -> str:
        """Its name in a key."""
        return f"-{self.number}" + (f"+{self.cut}" if self.cut else "")

    @property
    def text(self) -> str:
        """The text about it in a report."""
        return f"{self.what} is {'never synced' if self.is_never_synced else 'not synced by then'}"


class State(NamedTuple):
    """The directory at one moment."""

    number: int
    """Of the effect before which it is, from 1 on; behind the last effect one more than there are."""
    effect: Effect | None
    """That effect; None: there is none any more."""
    cut: int | None = None
    """So many bytes of the file were there when a kill cut that effect, a write, at a page."""
    missing: Missing | None = None
    """What was not on the disk, where the machine was gone."""

    @property
    def key(self) -> tuple[int, int | None, str]:
        """Equal for this state and no other one."""
        return self.number, self.cut, self.missing.name if self.missing else ""

    @property
    def name(self) -> str:
        name = "end" if self.effect is None else f"effect#{self.number}" + (f"+{self.cut}" if self.cut else "")
        return name + (self.missing.name if self.missing else "")

    @property
    def text(self) -> str:
        """What a kill would have prevented, or cut, and what is missing without power."""
        text = _END if self.effect is None else self.effect.text
        if self.missing is not None:
            text = f"{text}; {self.missing.text}"
        return text if self.cut is None else f"{text}, cut at byte {self.cut:,}"


OF_A_DAEMON: Final = (
    "what a process writes that outlives the first one, such as a daemon: run it in the foreground (--foreground, "
    "--no-daemon, -D or the like), or wait for it"
)


def ends_and_middle(cuts: Sequence[int]) -> list[int]:
    """The first, a middle and the last one of the pages at which a write may be cut."""
    return sorted({cuts[0], cuts[len(cuts) // 2], cuts[-1]} if cuts else ())


class DiskRecord:
    """The record of one run."""

    def __init__(self, items: Iterable[tuple[Item, bytes]]) -> None:
        self.items = list(items)
        """Each item, with its bytes."""
        self.effects = [item for item, _ in self.items if isinstance(item, Effect)]
        self.syncs = [item for item, _ in self.items if isinstance(item, Sync) and item.number]
        """The calls that sync, and may fail."""
        self.problems = [item.why for item, _ in self.items if isinstance(item, Problem)]
        self.is_daemon = any(isinstance(item, LivesOn) for item, _ in self.items)
        """A process was left when the first one had exited."""

    def first_difference(self, other: DiskRecord) -> int | None:
        """The index of the first effect that another run did not have, or had another one in its place.

        Numbers in names count for nothing, as process ids are among them. Several writers may do the same in another
        order.
        """
        one, two = (_sequence(record.effects) for record in (self, other))
        if one == two or _differ_by_order(self.effects, other.effects):
            return None
        return alike_at_first(one, two)

    def function_at(self, kind: str, number: int, text: str) -> tuple[str, str, int]:
        """The library's function that has the effect, or the ``"sync"``, with that *number*, and where it was called.

        Empty where it is not known, and where that one has another *text*, but for numbers.
        """
        calls: Sequence[Effect | Sync] = self.syncs if kind == "sync" else self.effects
        at, shown = calls[number - 1 : number], without_numbers(text)
        found = next((each.function for each in at if without_numbers(each.text) == shown), "")
        return place_of(found)

    def not_as_left(self, files: FilesLeft) -> list[str]:
        """The paths of *files*, which the directory had at the end of the run, or lacked, that are not as its record
        ends: something else has changed them. Empty where that is not known: a mapped file changes without a call."""
        if files is None or self._mapped:
            return []
        image = Image()
        for item, content in self.items:
            image.apply(item, content)
        nodes = {path: image.nodes[inode] for path, inode in image.inodes.items()}
        ends = {path: (node.entry.size, node.content) for path, node in nodes.items() if node.entry.kind == "file"}
        changed = (path for path in sorted({*files, *ends}) if files.get(path) != ends.get(path))
        return [path for path in changed if not path.endswith("-shm")]

    @property
    def _mapped(self) -> list[str]:
        """The files that are mapped into memory, without what SQLite shares beside a database."""
        mapped = dict.fromkeys(effect.paths[0] for effect in self.effects if effect.call == "mmap")
        return [path for path in mapped if not path.endswith("-shm")]

    @property
    def spoke_at(self) -> int:
        """The number of the first effect that says something to another process; more than there are: there is none."""
        return next((number for number, each in enumerate(self.effects, 1) if each.said), len(self.effects) + 1)

    def keeps_inode_at(self, lowest: int) -> int:
        """The number of the first effect after which a file or a name has the inode number of a file, if that is at
        least *lowest*; more than there are: none has. A directory that is put back has other ones."""
        known: set[bytes] = set()
        number = 0
        for item, content in self.items:
            if isinstance(item, Effect):
                number += 1
            elif isinstance(item, (Entry, Data)):
                written = content[:_LOOKED_AT]
                if isinstance(item, Entry):
                    known.update((b"%d" % item.inode, b"%x" % item.inode) if item.inode >= lowest else ())
                    written = b" ".join([os.fsencode(item.path), *(value for _, value in item.attributes)])
                if not known.isdisjoint(_NUMBER.findall(written)):
                    return number
        return number + 1

    @property
    def keeps_inodes(self) -> bool:
        """Whether a file or a name may have the inode number of a file."""
        return self.keeps_inode_at(SMALL_INODE) <= len(self.effects)

    def digests(self) -> Iterator[tuple[State, int]]:
        """Each of `states`, with a digest of it: equal where directories are, and what others were told before."""
        said = 0
        for state, image in self.states():
            yield state, image.digest ^ said
            effect = state.effect
            if effect is not None and effect.said and state.cut is None:
                said = _hash(said, effect.call, effect.stop, effect.said)

    def remarks(self) -> Iterator[str]:
        """What whoever reads a report of it has to know, a sentence each."""
        if self.problems:
            yield f"kills at effects ({self.problems[0]})"
            return
        writers = _writers(self.effects)
        if len(writers) > 1:
            yield f"other orders of the changes of {len(writers)} writers"
        if self._mapped:
            yield f"the states between system calls of what is mapped into memory ({', '.join(self._mapped)})"
        if self.is_daemon:
            yield OF_A_DAEMON

    def states(self) -> Iterator[tuple[State, Image]]:
        """Each moment at which a kill may differ from one before it, in order, also where the directory is the same.

        The image is one and the same object, which changes with the next state.
        """
        image, number = Image(), 0
        for at, (item, content) in enumerate(self.items):
            image.apply(item, content)
            if isinstance(item, Effect):
                number += 1
                state = State(number, item)
                yield state, image
                yield from self._cut(state, item, at, image)
        yield State(number + 1, None), image

    def _cut(self, state: State, effect: Effect, at: int, image: Image) -> Iterator[tuple[State, Image]]:
        """The states of a kill in the middle of a write: it is cut at a page of the file, the first, a middle or the
        last one."""
        first, last = effect.start // PAGE + 1, (effect.stop - 1) // PAGE
        before = image.nodes.get(effect.inode)
        if first > last or before is None:
            return
        written = self._written(effect, at)
        cuts = sorted(number for number in written if first <= number <= last)  # it may ask for more than there is
        for number in ends_and_middle(cuts):
            size = number * PAGE
            pages = {page: written.get(page, b"") for page in range(first - 1, number)}
            image.replace(effect.inode, before.with_content(pages, max(before.entry.size, size)))
            yield state._replace(cut=size), image
            image.replace(effect.inode, before)

    def _written(self, effect: Effect, at: int) -> dict[int, bytes]:
        """The pages that a write has left, as they were seen before the next call of its thread."""
        found: dict[int, bytes] = {}
        for item, content in self.items[at + 1 :]:
            if isinstance(item, Effect) and item.thread == effect.thread:
                break
            if isinstance(item, Data) and item.inode == effect.inode:
                found |= {
                    item.page + start // PAGE: content[start : start + PAGE] for start in range(0, item.size, PAGE)
                }
        return found
