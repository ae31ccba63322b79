"""What a machine that is gone leaves, of records that are made by hand: one change that was not synced is missing."""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random

import pytest
from internals import PAGE, disk_record, messages
from sweep_internals import DiskRecord, PowerRecord, missing_pattern
from sweep_internals import FileSystem as Kind

from pytest_scf_async import Point

Tree = dict[str, str]
SYSTEMS: tuple[Kind, ...] = ("posix", "ext4", "nfs")


class Made:
    """A record, as what was done to a directory."""

    def __init__(self, tmp_path: Path) -> None:
        self.items: list[tuple[disk_record.Item, bytes]] = []
        self._tmp_path = tmp_path
        self._inodes: dict[str, int] = {}
        self._contents: dict[int, bytes] = {}
        self._numbers = itertools.count(100)
        self._free: list[int] = []
        """Inodes of files that are gone, which others get."""
        self._numbers_of_trees = itertools.count()
        self._seen("", "directory", 1)

    def _seen(self, path: str, kind: disk_record.NodeKind, inode: int) -> None:
        self._inodes[path] = inode
        size = len(self._contents.get(inode, b""))
        self.items.append((disk_record.Entry(path, inode, kind, 0o700, size, 0, False, ""), b""))

    def _effect(self, call: str, *paths: str, inode: int = 0, start: int = 0, stop: int = 0) -> None:
        self.items.append((disk_record.Effect(call, [*paths], 0, 0, 7, inode, start, stop), b""))

    def _gone(self, path: str) -> None:
        del self._inodes[path]
        self.items.append((disk_record.Gone(path), b""))

    def _forget(self, inode: int | None) -> None:
        if inode is not None and inode not in self._inodes.values():
            self.items.append((disk_record.Forgotten(inode), b""))
            self._free.append(inode)

    def open(self, path: str, *, truncates: bool = False) -> None:
        self._effect("open", path)
        if path not in self._inodes:
            inode = self._free.pop() if self._free else next(self._numbers)
            self._contents[inode] = b""
            self._seen(path, "file", inode)
        elif truncates:
            self._contents[self._inodes[path]] = b""
            self._seen(path, "file", self._inodes[path])

    def write(self, path: str, text: str, at: int | None = None) -> None:
        inode = self._inodes[path]
        before, added = self._contents[inode], text.encode()
        start = len(before) if at is None else at
        self._effect("write", path, inode=inode, start=start, stop=start + len(added))
        self._contents[inode] = after = before[:start].ljust(start, b"\0") + added + before[start + len(added) :]
        self._seen(path, "file", inode)
        first = start // PAGE
        content = after[first * PAGE : -(-(start + len(added)) // PAGE) * PAGE]
        self.items.append((disk_record.Data(inode, first, len(content)), content))

    def written(self, path: str, text: str) -> None:
        self.open(path, truncates=True)
        self.write(path, text)

    def mkdir(self, path: str) -> None:
        self._effect("mkdir", path)
        self._seen(path, "directory", next(self._numbers))

    def rename(self, path: str, to: str) -> None:
        self._effect("rename", path, to)
        inode, replaced = self._inodes[path], self._inodes.get(to)
        self._gone(path)
        if replaced is not None:
            self._gone(to)
        self._seen(to, "file", inode)
        self._forget(replaced)

    def link(self, path: str, to: str) -> None:
        self._effect("link", path, to)
        self._seen(to, "file", self._inodes[path])

    def unlink(self, path: str) -> None:
        self._effect("unlink", path)
        inode = self._inodes[path]
        self._gone(path)
        self._forget(inode)

    def fsync(self, path: str = "", by: str = "fsync") -> None:
        self.items.append((disk_record.Sync(self._inodes[path], by), b""))  # type: ignore[arg-type]

    def close(self, path: str) -> None:
        self.fsync(path, by="close")

    def sync(self) -> None:
        self.items.append((disk_record.Sync(0, "fsync"), b""))

    def files(self) -> list[str]:
        return [path for path, inode in self._inodes.items() if inode in self._contents]

    def is_same(self, path: str, other: str) -> bool:
        return self._inodes[path] == self._inodes.get(other)

    def states(self, kind: Kind, *, at_end: bool = False) -> dict[str, Tree]:
        """By their names what is in the directory; those before one more effect, or all."""
        found: dict[str, Tree] = {}
        one_more = [(disk_record.Effect("utime", [], 0, 0, 7), b"")] * at_end
        record = PowerRecord(DiskRecord([*self.items, *one_more]), kind)
        for state, image in record.states():
            assert state.name not in found
            assert state.missing is not None
            if at_end and (state.number < len(record.effects) or state.missing.after):
                continue
            tree = self._tmp_path / str(next(self._numbers_of_trees))
            tree.mkdir()
            image.put(tree)
            paths = sorted(tree.rglob("*"))
            found[state.name] = {
                str(path.relative_to(tree)): "/" if path.is_dir() else path.read_text().rstrip("\0") for path in paths
            }
        return found


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def durable(made: Made, path: str, text: str) -> None:
    """A file that was there before all else."""
    made.written(path, text)
    made.sync()


def at_end(made: Made, kind: Kind) -> list[Tree]:
    return [*made.states(kind, at_end=True).values()]


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("posix", [{"a": ""}, {"a": "old", "b": "new"}]),
        ("ext4", [{"a": "old"}, {"a": "old", "b": "new"}]),
        ("nfs", []),
    ],
)
def test_a_rename_without_a_sync(made: Made, kind: Kind, left: list[Tree]) -> None:
    durable(made, "a", "old")
    made.written("b", "new")
    made.close("b")
    made.rename("b", "a")
    assert at_end(made, kind) == left


@pytest.mark.parametrize(
    ("kind", "left"), [("posix", [{"a": ""}, {"b": "new"}]), ("ext4", [{"a": ""}, {}, {"b": "new"}]), ("nfs", [])]
)
def test_a_rename_to_a_name_that_was_not_there(made: Made, kind: Kind, left: list[Tree]) -> None:
    made.written("b", "new")
    made.close("b")
    made.rename("b", "a")
    assert at_end(made, kind) == left


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_file_that_is_synced_before_its_rename_has_its_content(made: Made, kind: Kind) -> None:
    durable(made, "a", "old")
    made.written("b", "new")
    made.fsync("b")
    made.close("b")
    made.rename("b", "a")
    left = [{"a": "old", "b": "new"}]
    assert at_end(made, kind) == ([] if kind == "nfs" else left)
    made.fsync("")
    assert at_end(made, kind) == []


def test_a_sync_of_a_directory_is_of_its_own_names(made: Made) -> None:
    made.mkdir("d")
    made.open("d/a")
    made.fsync("")
    assert at_end(made, "posix") == [{"d": "/"}]
    made.fsync("d")
    assert at_end(made, "posix") == []


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_sync_of_a_new_file_syncs_its_name_where_names_are_in_a_journal(made: Made, kind: Kind) -> None:
    made.mkdir("d")
    made.written("d/a", "new")
    made.fsync("d/a")
    assert at_end(made, kind) == ([{}, {"d": "/"}] if kind == "posix" else [])


def test_with_a_directory_all_that_is_in_it_is_missing(made: Made) -> None:
    made.mkdir("d")
    made.open("d/a")
    made.mkdir("e")
    assert at_end(made, "posix") == [{"e": "/"}, {"d": "/", "e": "/"}, {"d": "/", "d/a": ""}]
    assert at_end(made, "ext4") == [{}, {"d": "/"}, {"d": "/", "d/a": ""}]


def test_an_append_is_missing_as_a_whole_since_the_last_sync_and_its_last_write(made: Made) -> None:
    durable(made, "log", "1 ")
    for number in "234":
        made.write("log", f"{number} ")
    states = made.states("posix")
    assert {name: tree["log"] for name, tree in states.items() if name[:3] == "end"} == {
        "end-3": "1 ",
        "end-5": "1 2 3 ",
    }
    assert {name: tree["log"] for name, tree in states.items() if name[:8] == "effect#5"} == {
        "effect#5-3": "1 ",
        "effect#5-4": "1 2 ",
    }
    made.fsync("log", by="fdatasync")
    assert at_end(made, "posix") == []


@pytest.mark.parametrize(
    ("kind", "closed", "left"),
    [
        ("posix", True, [{"a": "old"}, {"a": ""}]),
        ("ext4", False, [{"a": "old"}, {"a": ""}]),
        ("ext4", True, []),
        ("nfs", False, [{"a": ""}]),
        ("nfs", True, []),
    ],
)
def test_a_file_that_is_written_anew_in_its_place(made: Made, kind: Kind, *, closed: bool, left: list[Tree]) -> None:
    durable(made, "a", "old")
    made.written("a", "new")
    if closed:
        made.close("a")
    assert at_end(made, kind) == left


def test_a_last_write_is_cut_at_blocks(made: Made) -> None:
    durable(made, "a", "-" * 5000)
    made.write("a", "x" * 20_000, at=0)
    sizes = {name: tree["a"].count("x") for name, tree in made.states("posix").items() if name.startswith("end")}
    assert sizes == {"end-3": 0, "end-3+4096": 4096, "end-3+12288": 12288, "end-3+16384": 16384}


def test_hard_links_are_one_file(made: Made) -> None:
    durable(made, "a", "old")
    made.link("a", "b")
    made.write("b", "+")
    assert at_end(made, "posix") == [{"a": "old", "b": "old"}, {"a": "old+"}]
    made.unlink("a")
    assert at_end(made, "posix")[-1] == {"a": "old+", "b": "old+"}


def test_a_name_that_was_given_to_another_file(made: Made) -> None:
    durable(made, "a", "old")
    made.unlink("a")
    assert at_end(made, "posix") == [{"a": "old"}]
    made.written("a", "new")
    assert at_end(made, "posix") == [{"a": ""}, {}]  # without the removal the name would be that of the new file
    assert at_end(made, "ext4") == [{"a": ""}, {"a": "old"}, {}]


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_sync_of_everything(made: Made, kind: Kind) -> None:
    made.mkdir("d")
    made.written("d/a", "new")
    made.sync()
    assert at_end(made, kind) == []


def test_what_is_about_to_be_synced_is_missing_once_more(made: Made) -> None:
    made.written("a", "data")
    made.written("b", "that a is there")
    made.sync()
    assert made.states("nfs")["end-2"] == {"a": "", "b": "that a is there"}


def test_the_number_of_states_grows_with_that_of_effects(made: Made) -> None:
    for number in range(60):
        made.open(f"file-{number}")
    record = PowerRecord(DiskRecord(made.items), "posix")
    assert len(list(record.states())) < 60 * 9 + 60
    assert record.thinned
    assert len([name for name in made.states("posix") if name.startswith("end")]) == 60


def test_of_content_that_was_the_same_nothing_is_missing(made: Made) -> None:
    durable(made, "a", "same")
    made.write("a", "same", at=0)
    assert at_end(made, "posix") == []


def test_a_new_file_may_have_the_inode_of_one_that_is_gone(made: Made) -> None:
    durable(made, "a", "old")
    made.write("a", "new", at=0)
    made.unlink("a")
    made.written("b", "other")
    assert at_end(made, "posix") == [{"b": ""}, {"a": "new", "b": "other"}, {}]


@pytest.mark.parametrize(
    ("missing", "pattern"),
    [
        ("page-12.txt is never synced", "page-*.txt is never synced"),
        ("the rename of tmpfy49_eu8.tmp to a-3 is never synced", "the rename of tmp*.tmp to a-* is never synced"),
        ("d/9f86d081884c7d65 is not synced by then", "d/* is not synced by then"),
        ("deadbeef is never synced", "deadbeef is never synced"),
    ],
)
def test_numbers_and_random_parts_of_names_are_a_pattern(missing: str, pattern: str) -> None:
    found = messages.Point("power", 0, 1, "", 0)
    assert missing_pattern(Point("end-1", "power", "", 0, 0.0, found, missing=missing)) == pattern


def random_record(made: Made, seed: int) -> None:
    """Forty changes and syncs of a few files."""
    random = Random(seed)
    made.mkdir("d")
    for number in range(40):
        there = made.files()
        path = random.choice(there) if there else ""
        new = random.choice(["a", "b", "c", "d/a", "d/b"])
        calls = "open", "write", "rename", "link", "unlink", "fsync", "close", "fsync d"
        does = random.choice(calls) if path else "open"
        if does == "open":
            made.open(new, truncates=random.random() < 0.5)
        elif does == "write":
            made.write(path, f"{number} " * random.choice([1, 3000]))
        elif does == "rename" and not made.is_same(path, new):
            made.rename(path, new)
        elif does == "link":
            made.link(path, f"link-{number}")
        elif does == "unlink":
            made.unlink(path)
        elif does == "fsync d":
            made.fsync(random.choice(["", "d"]))
        else:
            made.fsync(path, by="close" if does == "close" else "fsync")


@pytest.mark.parametrize("kind", SYSTEMS)
def test_each_state_leaves_the_directory_as_it_was(tmp_path: Path, kind: Kind) -> None:
    tried = 0
    for seed in range(15):
        made = Made(tmp_path)
        random_record(made, seed)
        record = DiskRecord(made.items)
        (*_, (_, whole)) = record.states()
        states = [image for _, image in PowerRecord(record, kind).states()]
        image, tried = states[0], tried + len(states)  # it is one and the same
        assert (image.digest, image.inodes) == (whole.digest, whole.inodes), seed
        made.sync()
        assert at_end(made, kind) == []
    assert tried > 250
