"""What a run of a handler has left behind: its result, files, rows, records, observed values and entries of /tmp.

Effects are plain data, so that runs can be compared, grouped and sent from one process to another. A run's own
directory has another path in each run, and handlers write paths down: each occurrence of it is replaced by
``OWN_DIRECTORY`` while effects are gathered, as nothing later can know which text was a path.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""What ``json`` reads and writes, NaN and the infinities included."""

LARGEST = 16 * 1024 * 1024
"""Bytes up to which a file's content is kept; of a larger one, size and hash are compared."""
DEEPEST = 100
"""Levels of a value: Python cannot walk through all that JSON can nest."""
OWN_DIRECTORY = "<run.path>"
"""What stands in texts where the run's own directory was."""

_MAGIC = b"SQLite format 3\0"
_BESIDE = re.compile(r"-wal|-shm|-journal|-mj[0-9A-F]{9,}")
"""How the names end of what SQLite has beside a database."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

FileKind = Literal[
    "file",
    "directory",
    "symbolic link",
    "database",
    "special file",
    "read-protected file",
    "read-protected directory",
]
READ_PROTECTED: Final[frozenset[FileKind]] = frozenset({"read-protected file", "read-protected directory"})
"""What whoever runs the test may not read, so that its content is not compared."""
"""A database is a file of SQLite: its rows are effects of their own, and of itself only that it is there."""


class FileContent(NamedTuple):
    """One entry of the run's directory. Modes, owners and times are not compared."""

    kind: FileKind
    content: bytes | None = b""
    """Of a symbolic link its target; None where a file has more than ``LARGEST`` bytes."""
    size: int = 0
    """Bytes of a file that has no ``content`` here."""
    sha256: str = ""
    """The hash of a file that has no ``content`` here."""


class Key(NamedTuple):
    """The primary key of a table."""

    columns: tuple[str, ...] = ()
    automatic: bool = False
    """Whether it is one integer column, which SQLite fills where a row comes without it."""


Rows: TypeAlias = "dict[tuple[str, str], list[dict[str, Json]]]"
"""By database (its path relative to the run's directory) and table."""


class EffectKind(str, Enum):
    """The kinds of things in which two runs can differ."""

    FILE = "file"
    ROW = "row"
    RECORD = "record"
    OBSERVED = "observed"
    RESULT = "result"
    TMP = "tmp"
    STOP = "stop"
    """The duration of the stop."""
    EVENTS = "events"
    """The ends of the events of the run."""
    CHECK = "check"
    """The test's own assertions."""


RESULT = EffectKind.RESULT.value
"""The name of the result where effects are named: each run has one at most."""


class Stored(NamedTuple):
    """The content of the run's directory."""

    files: dict[str, FileContent]
    rows: Rows
    keys: dict[tuple[str, str], Key]


def _length(file: FileContent) -> int:
    return -1 if file.content is None else len(file.content)


@dataclass(frozen=True, eq=False)
class Effects:
    """What one run has left behind, over all of its attempts. Equal are those that have the same ``digest()``.

    ``observed`` and ``more`` take any value. What is no JSON becomes it: a tuple is a list, a set is a sorted list, a
    key that is no text and any other object are their ``repr``, without addresses, and so is what stands deeper than
    ``DEEPEST`` in all values. So a tuple is equal to a list, and an object without a ``repr`` of its own to any other
    one of its class.
    """

    result: Json = None
    has_result: bool = False
    """There is a result; it may be None."""
    files: Mapping[str, FileContent] = field(default_factory=dict)
    """By path relative to the run's directory."""
    rows: Rows = field(default_factory=dict)
    keys: Mapping[tuple[str, str], Key] = field(default_factory=dict)
    """The primary keys of the tables in ``rows``, where they have some."""
    records: list[tuple[str, dict[str, Json]]] = field(default_factory=list)
    """The names and fields that handlers passed to ``inside.record``."""
    observed: Mapping[str, Json] = field(default_factory=dict)
    """The final state that the test gave with ``run.observe``."""
    tmp: tuple[str, ...] = ()
    """The entries that are left in the /tmp of a warm instance."""
    more: Mapping[str, Json] = field(default_factory=dict)
    """What plugins added, by name; compared as observed values are."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "result", as_json(self.result))
        object.__setattr__(self, "records", [(name, _fields(fields)) for name, fields in self.records])
        object.__setattr__(self, "observed", _fields(self.observed))
        object.__setattr__(self, "more", _fields(self.more))

    def digest(self) -> str:
        """A hash of all of it, as it is: the same in each process, for whoever groups runs and keeps comparisons."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        files = sorted(self.files.items())
        plain = (
            self.has_result,
            self.result,
            [(name, each.kind, _length(each), each.size, each.sha256) for name, each in files],
            sorted((*where, rows) for where, rows in self.rows.items()) if self.rows else (),
            sorted((*where, *key) for where, key in self.keys.items()) if self.keys else (),
            self.records,
            self.observed,
            self.tmp,
            self.more,
        )
        hashed = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
        for _, each in files:
            if each.content:
                hashed.update(each.content)
        return hashed.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Effects) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)


def gathered(
    directory: Path,
    *,
    own_path: str | None = None,
    result: Json = None,
    has_result: bool = False,
    records: Iterable[tuple[str, dict[str, Json]]] = (),
    observed: Mapping[str, object] | None = None,
    tmp: Iterable[str] = (),
    more: Mapping[str, object] | None = None,
) -> Effects:
    """The effects of a run whose files are in *directory*.

    *own_path* is the directory's path as the run has seen it, where that is another one.
    """
    own = _OwnPath(str(directory) if own_path is None else own_path)
    stored = files_and_rows(directory, own_path)
    return Effects(
        own.out_of_json(result),
        has_result,
        *stored,
        records=[(name, {each: own.out_of_json(value) for each, value in fields.items()}) for name, fields in records],
        observed={name: own.out_of_json(as_json(value)) for name, value in (observed or {}).items()},
        tmp=tuple(sorted(tmp)),
        more={name: own.out_of_json(as_json(value)) for name, value in (more or {}).items()},
    )


def files_and_rows(directory: Path, own_path: str | None = None) -> Stored:
    """What is in *directory*: a file of SQLite as its rows, all else as files.

    A database is read as SQLite itself would after a crash: with its -wal, and with what a hot -journal rolls back.
    That happens in a private copy, as it changes the files. One that cannot be read is a file like any other.
    """
    own = _OwnPath(str(directory) if own_path is None else own_path)
    stored = Stored({}, {}, {})
    databases: list[str] = []
    for name, entry in walk(directory):
        try:
            content = _content_of(entry, own)
        except FileNotFoundError:
            continue  # it went away meanwhile
        except OSError:
            content = FileContent("read-protected file")
        if content.kind == "database":
            tables = _tables_of(entry.path, own)
            if tables is None:
                content = _file_of(entry.path, own)
            else:
                databases.append(name)
                for table, key, rows in tables:
                    stored.rows[name, table] = rows
                    if key.columns:
                        stored.keys[name, table] = key
        stored.files[name] = content
    for name in databases:
        for each in [each for each in stored.files if each.startswith(name) and _BESIDE.fullmatch(each[len(name) :])]:
            del stored.files[each]
    return stored


def as_json(value: object, depth: int = 0) -> Json:
    """*value* as JSON, whatever it is; see ``Effects``."""
    if value is None or isinstance(value, (bool, str, int, float)):
        return _scalar(value)
    if depth < DEEPEST:
        if isinstance(value, Mapping):
            return _fields(value, depth + 1)
        if isinstance(value, (list, tuple)):
            return [as_json(item, depth + 1) for item in value]
        if isinstance(value, (set, frozenset)):
            return sorted((as_json(item, depth + 1) for item in value), key=canonical)
    return _shown(value)


def canonical(value: Json) -> str:
    """The text that two values share exactly where they are the same: 1 and 1.0 are, 1 and True are not."""
    return json.dumps(_numbers_alike(value), sort_keys=True, ensure_ascii=False)


def _fields(values: Mapping[str, object], depth: int = 0) -> dict[str, Json]:
    return {each if type(each) is str else _key(each): as_json(value, depth) for each, value in values.items()}


def _scalar(value: bool | str | float | None) -> Json:
    """The same without a class of the user's own, such as an enumeration that is a str."""
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, int) else float(value)


_PLAIN = (str, int, bool, float)


def _key(value: object) -> str:
    return str.__str__(value) if isinstance(value, str) else _shown(value)


def _shown(value: object) -> str:
    try:
        return _ADDRESS.sub(" at 0x…", repr(value))
    except Exception as error:  # noqa: BLE001  (a repr of the user's may raise anything)
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


def _numbers_alike(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _numbers_alike(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_numbers_alike(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _OwnPath:
    """The path of a run's own directory, to be taken out of what the run has written."""

    def __init__(self, path: str) -> None:
        self._bytes = b"" if path in ("", "/") else os.fsencode(path)
        # `/tmp/run-1` is no part of `/tmp/run-10`.
        self._pattern = re.compile(re.escape(self._bytes) + rb"(?![\w-])")
        self._text = re.compile(re.escape(os.fsdecode(self._bytes)) + r"(?![\w-])")

    def out_of_bytes(self, content: bytes) -> bytes:
        if not self._bytes or self._bytes not in content:
            return content
        return self._pattern.sub(OWN_DIRECTORY.encode(), content)

    def out_of_text(self, text: str) -> str:
        return self._text.sub(OWN_DIRECTORY, text) if self._bytes and "/" in text else text

    def out_of_json(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.out_of_text(value)
        if isinstance(value, dict):
            return {self.out_of_text(name): self.out_of_json(item) for name, item in value.items()}
        return [self.out_of_json(item) for item in value] if isinstance(value, list) else value


def walk(directory: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All entries below *directory* by their relative path, links not followed."""
    todo = [(os.fspath(directory), "")]
    while todo:
        path, prefix = todo.pop()
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            if not prefix:
                raise
            continue
        for entry in entries:
            name = f"{prefix}{entry.name}"
            yield name, entry
            if entry.is_dir(follow_symlinks=False):
                todo.append((entry.path, f"{name}/"))


def may_be_read(entry: os.DirEntry[str]) -> bool:
    """Whether this process may read a file, or what is in a directory."""
    is_directory = entry.is_dir(follow_symlinks=False)
    return os.access(entry.path, os.R_OK | (os.X_OK if is_directory else 0), effective_ids=True)


def _content_of(entry: os.DirEntry[str], own: _OwnPath) -> FileContent:
    if entry.is_symlink():
        return FileContent("symbolic link", own.out_of_bytes(os.fsencode(os.readlink(entry.path))))
    if entry.is_dir(follow_symlinks=False):
        return FileContent("directory" if may_be_read(entry) else "read-protected directory")
    if not entry.is_file(follow_symlinks=False):
        return FileContent("special file")
    with open(entry.path, "rb") as file:
        beginning = file.read(len(_MAGIC))
    # A first transaction that was interrupted leaves an empty file beside its journal.
    if beginning == _MAGIC or (not beginning and _to_recover(entry.path)):
        return FileContent("database")
    return _file_of(entry.path, own)


def _file_of(path: str, own: _OwnPath) -> FileContent:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= LARGEST:
            return FileContent("file", own.out_of_bytes(file.read()))
        hashed = hashlib.sha256()
        while block := file.read(1 << 20):
            hashed.update(block)
    return FileContent("file", None, size, hashed.hexdigest())


def _to_recover(path: str) -> list[str]:
    """What SQLite reads beside a database that was not closed."""
    return [each for each in (f"{path}-wal", f"{path}-journal") if _is_regular(each)]


def _tables_of(path: str, own: _OwnPath) -> list[tuple[str, Key, list[dict[str, Json]]]] | None:
    """The tables of a database with their rows; None where SQLite cannot read it."""
    beside = _to_recover(path)
    try:
        if not beside:  # nothing is to be recovered, and SQLite neither locks nor writes what is immutable
            return _read(f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1", own)
        with tempfile.TemporaryDirectory(prefix="pytest-scf-async-") as private:
            copy = os.path.join(private, "database")
            for each in (path, *beside):
                shutil.copyfile(each, f"{copy}{each[len(path) :]}")
            return _read(f"file:{quote(os.fsencode(copy))}", own)
    except (sqlite3.DatabaseError, OSError):
        return None


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _read(uri: str, own: _OwnPath) -> list[tuple[str, Key, list[dict[str, Json]]]]:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        tables: list[tuple[str, str]] = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
            "ORDER BY name"
        ).fetchall()
        virtual = tuple(f"{name}_" for name, sql in tables if sql.upper().startswith("CREATE VIRTUAL"))
        found = []
        for name, _ in tables:
            if virtual and name.startswith(virtual):  # how a virtual table keeps its rows is its own
                continue
            quoted = name.replace('"', '""')
            try:
                cursor = connection.execute(f'SELECT * FROM "{quoted}"')
            except sqlite3.OperationalError:
                if f"{name}_" in virtual:  # of a module that this SQLite does not have
                    continue
                raise
            columns = [description[0] for description in cursor.description]
            rows = [{column: _value(value, own) for column, value in zip(columns, row, strict=True)} for row in cursor]
            found.append((name, _key_of(connection, name), rows))
        return found
    finally:
        connection.close()


def _key_of(connection: sqlite3.Connection, table: str) -> Key:
    columns = connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,)).fetchall()
    index = connection.execute("SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", (table,)).fetchone()
    # A column that stands for the rowid needs no index of its own; any other key has one.
    return Key(tuple(name for (name,) in columns), bool(columns) and index is None)


def _value(value: str | bytes | float | None, own: _OwnPath) -> Json:
    if isinstance(value, bytes):
        return f"x'{own.out_of_bytes(value).hex()}'"
    return own.out_of_text(value) if isinstance(value, str) else value
