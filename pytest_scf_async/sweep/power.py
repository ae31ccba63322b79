"""The states that a power failure can leave in a run's directory: one change that was not synced is missing.

What was not synced may be on the disk or not. All combinations would be too many, so one change is left out at a time
and all others are there, as ALICE does (Pillai et al., OSDI 2014): the content that a file has got since it was synced,
its last write, or that from a block on, or a name. Content belongs to files (inodes), so it goes where a rename goes.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..protocol.disk_record import PAGE, Data, Effect, Entry, Forgotten, Gone, Item, Sync
from .interruptions import FileSystem
from .states import DiskRecord, Image, Missing, Node, State, ends_and_middle

NEXT = 8
"""A change is missing at so many effects that follow on it, and then once more: when it is synced, or at the end.

At each of them the number of states would grow with the square of that of effects; what relies on a change mostly comes
soon, as the rename that publishes a file does."""
_File = tuple[int, Node]


@dataclass
class _Content:
    """What has become of the content of a file since it was synced: the pages and the size as they were."""

    first: int
    """The number of the first effect that has changed it since, ..."""
    size: int
    pages: dict[int, bytes] = field(default_factory=dict)
    last: int = 0
    """... and of the last one, ..."""
    last_size: int = 0
    last_pages: dict[int, bytes] = field(default_factory=dict)
    span: tuple[int, int] = (0, 0)
    """... which was to write these bytes."""
    emptied: int = 0
    """The effect that has left nothing of it, ..."""
    refilled: int = 0
    """... and the next one."""

    def versions(self, node: Node) -> Iterator[tuple[int, int, Node]]:
        """What may be on the disk of *node*, each with the number of the first effect that is missing, and the byte
        from which on it is."""
        yield self.first, 0, node.with_content(self.pages, self.size)
        if self.refilled:
            yield self.refilled, 0, node.with_content(dict.fromkeys([*node.pages], b""), 0)
        if self.last not in (self.first, self.refilled):
            yield self.last, 0, node.with_content(self.last_pages, self.last_size)
        start, stop = self.span
        cuts = sorted(page for page in self.last_pages if start // PAGE < page <= (stop - 1) // PAGE)
        for cut in ends_and_middle(cuts):
            beyond = {page: was for page, was in self.last_pages.items() if page >= cut}
            yield self.last, cut * PAGE, node.with_content(beyond, max(self.last_size, cut * PAGE))


@dataclass
class _Names:
    """What one effect has done to names, and what they had led to; it is on the disk as a whole or not at all."""

    effect: Effect
    before: dict[str, _File | None] = field(default_factory=dict)
    directories: set[int] = field(default_factory=set)
    """Those that have not been synced since."""
    files: set[int] = field(default_factory=set)
    """What has got a name."""

    @property
    def text(self) -> str:
        call, paths = self.effect.call, self.effect.paths
        if call == "rename":
            return f"the rename of {' to '.join(paths)}"
        return f"the {'removal of' if call in ('unlink', 'rmdir') else 'name'} {paths[-1] if paths else ''}"


class _Cache:
    """The directory as the kernel has it, and which of that is not on the disk."""

    def __init__(self, file_system: FileSystem) -> None:
        self._file_system = file_system
        self.image = Image()
        self.contents: dict[int, _Content] = {}
        """By inode."""
        self.names: dict[int, _Names] = {}
        """By the number of the effect, in their order."""
        self.changed: dict[int, set[int]] = {}
        """Of which files effects have changed the content."""
        self._named_last: dict[str, int] = {}
        """By path, the last effect that has had that lead elsewhere."""
        self._last = 0
        """The number of the last effect."""
        self._latest: OrderedDict[int, tuple[int, Effect]] = OrderedDict()
        """By thread, its last effect, the latest one at the end."""

    def begins(self, number: int, effect: Effect) -> None:
        """An effect begins."""
        self._last = number
        if not effect.said:
            self._latest[effect.thread] = number, effect
            self._latest.move_to_end(effect.thread)

    def is_unsynced(self, number: int) -> bool:
        """Whether a change of that effect is not on the disk."""
        contents = (self.contents.get(inode) for inode in self.changed.get(number, ()))
        return number in self.names or any(each is not None and each.first <= number for each in contents)

    def change(self, item: Item, content: bytes) -> None:
        """Have the directory change as a record says."""
        image = self.image
        if isinstance(item, (Entry, Gone)):
            number, effect = self._effect_of(item.path)
            node = image.nodes.get(item.inode) if isinstance(item, Entry) else None
            if effect is not None and isinstance(item, Gone):
                self._name(item.path, number, effect)
            elif effect is not None and isinstance(item, Entry) and image.inodes.get(item.path) != item.inode:
                self._name(item.path, number, effect, item.inode)
            if effect is not None and isinstance(item, Entry) and item.kind == "file":
                self._resize(item, node, number, effect)
        elif isinstance(item, Data):
            node = image.nodes[item.inode]
            number, effect = self._effect_of(*node.paths, inode=item.inode)
            if effect is not None and effect.call not in ("rename", "link"):  # these bring what was written elsewhere
                pages = {item.page + at // PAGE: content[at : at + PAGE] for at in range(0, item.size, PAGE)}
                was = {page: node.pages.get(page, b"") for page in pages}
                changed = {page: each for page, each in was.items() if each != pages[page].rstrip(b"\0")}
                if changed:
                    self._write(item.inode, number, effect, changed, node.entry.size)
        elif isinstance(item, Forgotten):
            self.contents.pop(item.inode, None)  # another file may get its inode
        image.apply(item, content)

    def _effect_of(self, *paths: str, inode: int = 0) -> tuple[int, Effect | None]:
        """The effect that has made a change: the latest of a thread's last ones that is about it, else the latest."""
        for number, effect in reversed(self._latest.values()):
            if inode and effect.inode == inode:
                return number, effect
            if any(path == about or path.startswith(f"{about}/") for path in paths for about in effect.paths):
                return number, effect
        return next(reversed(self._latest.values()), (0, None))

    def _resize(self, item: Entry, node: Node | None, number: int, effect: Effect) -> None:
        size = 0 if node is None or node.entry.kind != "file" else node.entry.size
        if item.size == size or effect.call in ("rename", "link"):
            return
        cuts = effect.call == "truncate" or (effect.call in ("open", "creat") and item.size < size)
        if self._file_system == "nfs" and cuts:
            self.contents.pop(item.inode, None)
            return
        last = item.size // PAGE
        cut = {page: was for page, was in node.pages.items() if page >= last} if node and item.size < size else {}
        self._write(item.inode, number, effect, cut, size)
        if not item.size:
            of = self.contents[item.inode]
            of.emptied, of.refilled = number, 0

    def _write(self, inode: int, number: int, effect: Effect, pages: dict[int, bytes], size: int) -> None:
        """Content of a file is changed that had these *pages*, and that *size*."""
        of = self.contents.setdefault(inode, _Content(number, size))
        if of.last != number:
            of.last, of.last_size, of.last_pages, of.span = number, size, {}, (0, 0)
        if effect.inode == inode:
            of.span = effect.start, effect.stop
        if of.emptied and not of.refilled and number != of.emptied:
            of.refilled = number
        for page, was in pages.items():
            of.pages.setdefault(page, was)
            of.last_pages.setdefault(page, was)
        self.changed.setdefault(number, set()).add(inode)

    def _name(self, path: str, number: int, effect: Effect, inode: int = 0) -> None:
        """A path leads to another file than before; to nothing, where there is no *inode*."""
        if self._file_system == "nfs":
            return
        image, names = self.image, self.names.setdefault(number, _Names(effect))
        before = image.inodes.get(path)
        names.before.setdefault(path, None if before is None else (before, image.nodes[before]))
        self._named_last[path] = number
        if path in effect.paths or effect.call != "rename":  # else it is below a directory that is renamed
            names.directories.add(image.inodes.get(os.path.dirname(path), 0))
        if inode:
            names.files.add(inode)
            if self._file_system == "ext4" and effect.call == "rename" and names.before[path] is not None:
                self.contents.pop(inode, None)

    def synced_by(self, sync: Sync) -> tuple[list[int], list[int]]:
        """The files whose content is on the disk by that, and the effects whose names are."""
        file_system, inode = self._file_system, sync.inode
        if not inode:
            return [*self.contents], [*self.names]
        of = self.contents.get(inode)
        if sync.by == "close":
            is_written = of is not None and (file_system == "nfs" or (file_system == "ext4" and of.emptied > 0))
            return [inode] * is_written, []
        names: list[int] = []
        if file_system == "ext4":
            node = self.image.nodes.get(inode)
            has_grown = of is not None and (sync.by == "fsync" or node is None or of.size != node.entry.size)
            if has_grown or any(inode in each.files | each.directories for each in self.names.values()):
                names = [*self.names]
        else:
            for number, each in self.names.items():
                each.directories.discard(inode)
                if not each.directories:
                    names.append(number)
        return [inode] * (of is not None), names

    def forget(self, files: Iterable[int], names: Iterable[int]) -> None:
        """These are on the disk."""
        for inode in files:
            del self.contents[inode]
        for number in names:
            del self.names[number]

    @contextlib.contextmanager
    def without_names(self, first: int) -> Iterator[None]:
        """Have the image be without what that effect has done to names; in a journal all later ones are missing, too.

        Else what a later effect has done to one of these names is there.
        """
        image, wanted = self.image, dict[str, _File | None]()
        if self._file_system == "ext4":
            for number in range(self._last, first - 1, -1):
                if number in self.names:
                    wanted |= self.names[number].before
        else:
            before = self.names[first].before.items()
            wanted |= {path: was for path, was in before if self._named_last[path] == first}
        lost = [path for path, was in wanted.items() if was is None and self._is_directory(path)]
        below = [each for each in image.inodes if any(each.startswith(f"{path}/") for path in lost)] if lost else []
        for path in below:
            wanted.setdefault(path, None)
        saved: list[tuple[str, int | None]] = []
        ghosts: dict[int, int] = {}
        for path in sorted(wanted):
            was = wanted[path]
            if was is None and path not in image.inodes:
                continue
            if was is not None and not self._is_directory(os.path.dirname(path)):
                continue  # it was in a directory that is not there any more
            saved.append((path, image.inodes.get(path)))
            image.lead(path, None if was is None else self._revived(was, ghosts))
        yield
        for path, inode in reversed(saved):
            image.lead(path, inode)
        for ghost in ghosts.values():
            del image.nodes[ghost]

    def _is_directory(self, path: str) -> bool:
        inode = self.image.inodes.get(path)
        return inode is not None and self.image.nodes[inode].entry.kind == "directory"

    def _revived(self, was: _File, ghosts: dict[int, int]) -> int:
        """The number of a file in the image: of one that has no name any more another one has it, maybe."""
        inode, node = was
        if self.image.nodes.get(inode) is node:
            return inode
        if id(node) not in ghosts:
            ghosts[id(node)] = -1 - len(ghosts)
            self.image.nodes[-len(ghosts)] = node
        return ghosts[id(node)]


class PowerRecord(DiskRecord):
    """The record of a run, with the states that a machine leaves that is gone.

    Each file system makes other changes durable, and keeps another order of them:

    - ``posix``: only what was synced. Names are synced with their directories.
    - ``ext4``: names are in a journal: with one of them all later ones are missing, and whoever syncs a file that has
      changed syncs all names. A file that is renamed over another one, or truncated, written and closed, is written.
    - ``nfs``: names and sizes are on the server when the call returns, and content when a file is closed.
    """

    def __init__(self, record: DiskRecord, file_system: FileSystem) -> None:
        super().__init__(record.items)
        self._file_system = file_system
        syncs = [item for item, _ in self.items if isinstance(item, Sync)]
        self._ever_synced = {each.inode for each in syncs if file_system == "nfs" or each.by != "close"}
        self.thinned = False
        """Whether changes were not left out at each effect at which they were not synced; known after the states."""

    def digests(self) -> Iterator[tuple[State, int]]:
        """Each of `states`, with a digest of it; those after something was said to others are for nobody."""
        for state, image in self.states():
            yield state, image.digest

    def states(self) -> Iterator[tuple[State, Image]]:
        """Each state in which one change is missing, in order; equal ones are among them.

        The image is one and the same object, which changes with the next state.
        """
        cache, number, effect = _Cache(self._file_system), 0, None
        for item, content in self.items:
            if isinstance(item, Sync):
                files, names = cache.synced_by(item)
                yield from self._without(cache, files, names, number + 1, after=effect)
                cache.forget(files, names)
            elif isinstance(item, Effect):
                number, effect = number + 1, item
                oldest = max(number - NEXT, 1)
                self.thinned |= cache.is_unsynced(oldest - 1)
                recent = range(oldest, number)
                changed = {inode for each in recent for inode in cache.changed.get(each, ())}
                names = [each for each in recent if each in cache.names]
                yield from self._without(cache, sorted(changed & cache.contents.keys()), names, number, oldest=oldest)
                cache.begins(number, item)
            else:
                cache.change(item, content)
        yield from self._without(cache, [*cache.contents], [*cache.names], number + 1, after=effect)

    def _without(
        self,
        cache: _Cache,
        files: Iterable[int],
        names: Iterable[int],
        number: int,
        *,
        after: Effect | None = None,
        oldest: int = 0,
    ) -> Iterator[tuple[State, Image]]:
        """The states before the effect with that *number* in which a change of *files* or *names* is missing."""
        image, known = cache.image, cache.image.digest
        state = State(number, self.effects[number - 1] if number <= len(self.effects) else None)
        seen: set[tuple[int, int]] = set()
        all_synced = 0 in self._ever_synced
        for inode in files:
            node = image.nodes.get(inode)
            if node is None or not node.paths or min(node.paths).endswith("-shm"):
                continue
            is_never = not all_synced and inode not in self._ever_synced
            for first, cut, version in cache.contents[inode].versions(node):
                image.replace(inode, version)
                if first >= oldest and image.digest != known and (first, cut) not in seen:
                    seen.add((first, cut))
                    yield state._replace(missing=Missing(first, cut, min(node.paths), is_never, after)), image
                image.replace(inode, node)
        ordered = list(names)
        # With an older one of a journal nearly all are missing, as in the states before these.
        for first in ordered[-NEXT:] if self._file_system == "ext4" else ordered:
            of = cache.names[first]
            by = self._ever_synced if self._file_system == "ext4" else of.directories
            is_never = not all_synced and self._ever_synced.isdisjoint(by)
            with cache.without_names(first):
                if image.digest != known and (first, 0) not in seen:
                    seen.add((first, 0))
                    yield state._replace(missing=Missing(first, 0, of.text, is_never, after, True)), image
