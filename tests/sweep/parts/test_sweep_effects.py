"""What a run has left behind is read as it is: files, rows of SQLite as after a crash, and any value as JSON."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sweep_internals import sweep_effects

Effects = sweep_effects.Effects
FileContent = sweep_effects.FileContent
Key = sweep_effects.Key
files_and_rows = sweep_effects.files_and_rows
gathered = sweep_effects.gathered


def made(path: Path, *statements: str) -> Path:
    """A database in which these statements were run."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def killed(path: Path, *statements: str) -> None:
    """Run statements in a process that ends at once after them, with nothing committed, rolled back or closed."""
    program = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for statement in sys.argv[2:]: connection.execute(statement).fetchall()\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, path, *statements], check=False).returncode == 9


def state_of(directory: Path) -> dict[str, tuple[bytes, int]]:
    """All bytes in a directory, and when they were written last."""
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in directory.iterdir()}


# -- files -------------------------------------------------------------------------------------------------------------


def test_files_directories_and_links_are_there_by_their_relative_path(tmp_path):
    (tmp_path / "a b\nc").write_bytes(b"\xff\xfe latin")
    (tmp_path / "spool" / "empty").mkdir(parents=True)
    (tmp_path / "spool" / "x.json").write_text("{}")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "to_directory").symlink_to("spool")
    os.mkfifo(tmp_path / "pipe")
    assert files_and_rows(tmp_path).files == {
        "a b\nc": FileContent("file", b"\xff\xfe latin"),
        "link": FileContent("symbolic link", b"nowhere"),
        "pipe": FileContent("special file"),
        "spool": FileContent("directory"),
        "spool/empty": FileContent("directory"),
        "spool/x.json": FileContent("file", b"{}"),
        "to_directory": FileContent("symbolic link", b"spool"),
    }


def test_a_name_that_is_no_utf_8_has_a_digest(tmp_path):
    open(os.fsencode(tmp_path) + b"/\xff", "wb").close()
    assert [*gathered(tmp_path).files] == ["\udcff"]
    assert gathered(tmp_path).digest() == gathered(tmp_path).digest()


def test_of_a_large_file_there_are_size_and_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_effects, "LARGEST", 4)
    (tmp_path / "small").write_bytes(b"1234")
    (tmp_path / "large").write_bytes(b"12345")
    files = files_and_rows(tmp_path).files
    assert files["small"] == FileContent("file", b"1234")
    assert files["large"] == FileContent(
        "file", None, 5, "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    )


def test_a_directory_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        files_and_rows(tmp_path / "none")


def test_directories_deeper_than_python_recurses(tmp_path):
    paths = [tmp_path.joinpath(*["d"] * depth) for depth in range(1, 1_201)]
    try:
        for path in paths:
            path.mkdir()
        assert len(files_and_rows(tmp_path).files) == 1_200
    finally:  # shutil recurses, too
        for path in reversed(paths):
            path.rmdir()


def test_the_runs_own_path_is_taken_out_of_all_texts(tmp_path):
    own = str(tmp_path)
    (tmp_path / "manifest").write_text(f"{own}/a.csv and {own}, not {own}0 or {own}-1")
    (tmp_path / "link").symlink_to(f"{own}/a.csv")
    made(tmp_path / "x.db", "CREATE TABLE t (a, b)", f"INSERT INTO t VALUES ('{own}/a', CAST('{own}/b' AS BLOB))")
    effects = gathered(
        tmp_path,
        result={own: [f"wrote {own}/a.csv"]},
        has_result=True,
        records=[("put", {"key": f"{own}/k"})],
        observed={"seen": (f"{own}/s",)},
        more={"objects": {f"{own}/o": 1}},
    )
    assert effects.files["manifest"].content == f"<run.path>/a.csv and <run.path>, not {own}0 or {own}-1".encode()
    assert effects.files["link"].content == b"<run.path>/a.csv"
    assert effects.rows["x.db", "t"] == [{"a": "<run.path>/a", "b": f"x'{b'<run.path>/b'.hex()}'"}]
    assert effects.result == {"<run.path>": ["wrote <run.path>/a.csv"]}
    assert effects.records == [("put", {"key": "<run.path>/k"})]
    assert effects.observed == {"seen": ["<run.path>/s"]}
    assert effects.more == {"objects": {"<run.path>/o": 1}}


def test_the_run_may_have_seen_its_directory_by_another_path(tmp_path):
    (tmp_path / "manifest").write_text(f"/mnt/run/a {tmp_path}")
    assert gathered(tmp_path, own_path="/mnt/run").files["manifest"].content == f"<run.path>/a {tmp_path}".encode()


# -- rows --------------------------------------------------------------------------------------------------------------


def test_a_file_of_sqlite_is_its_rows(tmp_path):
    made(
        tmp_path / "no suffix ? #%",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL, note TEXT, raw BLOB)",
        "INSERT INTO orders VALUES (7, 0.1, 'a', x'00ff'), (8, 9e999, CAST(x'ff41' AS TEXT), NULL)",
        'CREATE TABLE "a ""b""" (x)',
        "CREATE TABLE pairs (a TEXT, b INTEGER, n, PRIMARY KEY (b, a)) WITHOUT ROWID",
        "INSERT INTO pairs VALUES ('y', 1, 1), ('x', 1, 2)",
        "CREATE TABLE counted (n INTEGER PRIMARY KEY AUTOINCREMENT)",
        "CREATE TABLE alone (n INTEGER PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE given (n INT PRIMARY KEY)",
        "CREATE VIEW v AS SELECT 1",
    )
    stored = files_and_rows(tmp_path)
    of = "no suffix ? #%"
    assert stored.files == {of: FileContent("database")}
    assert stored.rows == {
        (of, 'a "b"'): [],
        (of, "alone"): [],
        (of, "counted"): [],
        (of, "given"): [],
        (of, "orders"): [
            {"id": 7, "total": 0.1, "note": "a", "raw": "x'00ff'"},
            {"id": 8, "total": math.inf, "note": "\udcffA", "raw": None},
        ],
        (of, "pairs"): [{"a": "x", "b": 1, "n": 2}, {"a": "y", "b": 1, "n": 1}],
    }
    assert stored.keys == {
        (of, "alone"): Key(("n",)),
        (of, "counted"): Key(("n",), automatic=True),
        (of, "given"): Key(("n",)),
        (of, "orders"): Key(("id",), automatic=True),
        (of, "pairs"): Key(("b", "a")),
    }
    assert gathered(tmp_path).digest() == gathered(tmp_path).digest()


def test_rows_of_a_full_text_table_are_read_without_how_it_keeps_them(tmp_path):
    made(tmp_path / "x.db", "CREATE VIRTUAL TABLE notes USING fts5(body)", "INSERT INTO notes VALUES ('hello')")
    assert files_and_rows(tmp_path).rows == {("x.db", "notes"): [{"body": "hello"}]}


def test_what_is_committed_in_the_wal_of_a_killed_process_is_there_and_what_is_not_is_not(tmp_path):
    killed(
        tmp_path / "x.db",
        "PRAGMA journal_mode = wal",
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES ('committed')",
        "BEGIN",
        "INSERT INTO t VALUES ('open')",
    )
    (tmp_path / "x.db-mj0A1B2C9FF").touch()
    (tmp_path / "x.db-walrus").touch()
    before = state_of(tmp_path)
    assert {*before} == {"x.db", "x.db-wal", "x.db-shm", "x.db-mj0A1B2C9FF", "x.db-walrus"}
    stored = files_and_rows(tmp_path)
    assert stored.rows == {("x.db", "t"): [{"a": "committed"}]}
    assert [*stored.files] == ["x.db", "x.db-walrus"]
    assert state_of(tmp_path) == before


def test_a_hot_journal_of_a_killed_process_is_rolled_back(tmp_path):
    numbers = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
    fill = f"INSERT INTO t {numbers} SELECT 'committed', zeroblob(900) FROM n"
    made(tmp_path / "x.db", "CREATE TABLE t (a, b)", fill)
    killed(tmp_path / "x.db", "PRAGMA cache_size = 2", "BEGIN", "UPDATE t SET a = 'overtaken'")
    before = state_of(tmp_path)
    assert {*before} == {"x.db", "x.db-journal"}
    assert b"overtaken" in before["x.db"][0]  # without the journal it would be there
    stored = files_and_rows(tmp_path)
    assert [row["a"] for row in stored.rows["x.db", "t"]] == ["committed"] * 200
    assert [*stored.files] == ["x.db"]
    assert state_of(tmp_path) == before


def test_a_first_transaction_that_was_interrupted_is_a_database_without_tables(tmp_path):
    killed(tmp_path / "x.db", "BEGIN", "CREATE TABLE t (a)")
    assert {*state_of(tmp_path)} == {"x.db", "x.db-journal"}
    assert files_and_rows(tmp_path).files == {"x.db": FileContent("database")}
    assert files_and_rows(tmp_path).rows == {}


@pytest.mark.parametrize("at", [20, 2_000, 4_096])
def test_a_damaged_file_of_sqlite_is_a_file(tmp_path, at):
    path = made(tmp_path / "x.db", "CREATE TABLE t (a)", "INSERT INTO t SELECT 'x' FROM (VALUES (1), (2))")
    content = path.read_bytes()
    path.write_bytes(content[:at])
    (tmp_path / "x.db-shm").write_bytes(b"")
    stored = files_and_rows(tmp_path)
    assert stored.files == {"x.db": FileContent("file", content[:at]), "x.db-shm": FileContent("file")}
    assert stored.rows == {}


# -- values ------------------------------------------------------------------------------------------------------------


class Silent:
    """Has a repr with its address."""


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no repr")


def test_observed_values_become_json():
    endless: list[object] = []
    endless.append(endless)
    seen = Effects(
        observed={  # type: ignore[dict-item]
            "tuple": (1, {"a": ()}),
            "set": {"b", "a"},
            "keys": {1: "one", (2, 3): "pair"},
            "bytes": b"x",
            "silent": Silent(),
            "broken": Broken(),
            "path": Path("/a"),
        }
    ).observed
    assert seen == {
        "tuple": [1, {"a": []}],
        "set": ["a", "b"],
        "keys": {"1": "one", "(2, 3)": "pair"},
        "bytes": "b'x'",
        "silent": "<test_sweep_effects.Silent object at 0x…>",
        "broken": "<Broken, whose repr raised ValueError>",
        "path": repr(Path("/a")),
    }
    nested = Effects(observed={"endless": endless}).observed["endless"]
    for _ in range(sweep_effects.DEEPEST):
        assert isinstance(nested, list)
        (nested,) = nested
    assert nested == "[[...]]"


def test_a_digest_is_the_same_in_another_process():
    program = (
        "from pytest_scf_async.sweep.effects import Effects, FileContent\n"
        "print(Effects(result={'b': 1, 'a': [2.5]}, has_result=True, files={'x': FileContent('file', b'1')},"
        " observed={'s': {'p', 'q', 'r'}}).digest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    here = Effects(
        result={"a": [2.5], "b": 1},
        has_result=True,
        files={"x": FileContent("file", b"1")},
        observed={"s": ["p", "q", "r"]},
    )
    assert runs == {f"{here.digest()}\n"}


BASE = {
    "result": 1,
    "has_result": True,
    "files": {"x": FileContent("file", b"1"), "y": FileContent("file", b"")},
    "rows": {("d", "t"): [{"a": 1}]},
    "records": [("put", {"k": 1})],
    "observed": {"o": 1},
    "tmp": ("t",),
    "more": {"m": 1},
}


@pytest.mark.parametrize(
    "other",
    [
        {"result": True},
        {"result": None},
        {"result": None, "has_result": False},
        {"files": {"x": FileContent("file", b"2"), "y": FileContent("file", b"")}},
        {"files": {"x": FileContent("file", b""), "y": FileContent("file", b"1")}},
        {"files": {"x": FileContent("symbolic link", b"1"), "y": FileContent("file", b"")}},
        {"files": {"x": FileContent("file", b"1"), "y": FileContent("file", None, 0, "")}},
        {"rows": {("d", "t"): [{"a": 2}]}},
        {"rows": {("d", "u"): [{"a": 1}]}},
        {"keys": {("d", "t"): Key(("a",))}},
        {"records": [("put", {"k": 2})]},
        {"records": []},
        {"observed": {"o": "1"}},
        {"tmp": ()},
        {"more": {}},
    ],
    ids=str,
)
def test_effects_are_equal_where_their_digest_is(other):
    base, same, changed = Effects(**BASE), Effects(**BASE), Effects(**{**BASE, **other})
    assert base == same
    assert hash(base) == hash(same)
    assert base.digest() == same.digest()
    assert base != changed
    assert base.digest() != changed.digest()


def test_nan_is_equal_to_itself():
    assert Effects(observed={"n": math.nan}) == Effects(observed={"n": json.loads("NaN")})
