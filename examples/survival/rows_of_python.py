"""The rows of Python's standard library."""

from __future__ import annotations

from typing import Any

from rows import Row

DOCS = "https://docs.python.org/3/library"
REPLACE = "`os.replace()` of a synced file"
SYNCED = "`os.fsync()` forces a file to disk"


def in_python(name: str, title: str, directory: str, *options: str, promise: str, page: str, **more: Any) -> Row:
    """A row whose job is ``job.py``, and which CI sweeps if it needs nothing."""
    command = ("python", "job.py", "{path}", *options)
    given = {"in_ci": "needs" not in more, "page": page if ":" in page else f"{DOCS}/{page}", **more}
    return Row(name=name, title=title, directory=directory, command=command, promise=promise, **given)


def sqlite(journal: str, synchronous: str, promise: str, **more: Any) -> Row:
    return in_python(
        f"sqlite3-{journal}-{synchronous}".lower(),
        f"`sqlite3`, `journal_mode={journal}`, `synchronous={synchronous}`",
        "sqlite_database",
        journal,
        synchronous,
        promise=promise,
        page="https://www.sqlite.org/pragma.html#pragma_synchronous",
        **more,
    )


def dbm(module: str, title: str, flags: str, *options: str, promise: str, **more: Any) -> Row:
    return in_python(
        title.replace("`", "").replace(", ", "-").replace("dbm.", "dbm-").replace("()", "").replace(" ", "-").lower(),
        title,
        "dbm_store",
        module,
        flags,
        *options,
        promise=promise,
        page=f"dbm.html#module-{module}",
        ignore=("steps*", "__db*"),
        why_ignored="its own files; what is read from them is",
        **more,
    )


MAPPED = "promises nothing; it maps its file into memory, and stores between two system calls are not tried"
ROWS = (
    in_python(
        "open-in-place",
        '`open("w")` in place',
        "open_in_place",
        promise="`w` truncates the file first",
        page="functions.html#open",
        survives_by=REPLACE,
    ),
    in_python(
        "rename",
        "`os.replace()`",
        "rename",
        promise="an atomic operation; nothing about power",
        page="os.html#os.replace",
        survives_by=REPLACE,
    ),
    in_python("rename-synced", REPLACE, "rename", "sync", promise=SYNCED, page="os.html#os.fsync"),
    in_python(
        "rename-synced-directory",
        f"{REPLACE}, and its directory synced",
        "rename",
        "sync",
        "directory",
        promise=SYNCED,
        page="os.html#os.fsync",
        in_ci=False,
    ),
    in_python(
        "append",
        '`open("a")`',
        "append",
        promise="`a` appends to the end",
        page="functions.html#open",
        survives_by="cutting off a last line that is not whole",
    ),
    in_python(
        "append-cut",
        '`open("a")` behind the last whole line',
        "append",
        "cut",
        promise="`a` appends to the end",
        page="functions.html#open",
    ),
    in_python(
        "append-cut-synced",
        '`open("a")` behind the last whole line, each synced',
        "append",
        "cut",
        "sync",
        promise=SYNCED,
        page="os.html#os.fsync",
        in_ci=False,
    ),
    in_python(
        "pickle",
        "`pickle.dump()` in place",
        "pickle_in_place",
        promise="promises nothing",
        page="pickle.html#pickle.dump",
        survives_by=REPLACE,
    ),
    in_python(
        "pickle-replace",
        f"`pickle.dump()`, {REPLACE}",
        "pickle_in_place",
        "replace",
        promise=SYNCED,
        page="os.html#os.fsync",
    ),
    in_python(
        "shelve",
        "`shelve`",
        "shelf",
        promise="promises nothing about a kill",
        page="shelve.html",
        ignore=("shelf*",),
        why_ignored="its own files; what is read from them is",
        needs=("dbm.sqlite3",),
        survives_by="removing an empty file before it is opened",
    ),
    in_python(
        "shelve-writeback",
        "`shelve`, `writeback=True` and `sync()`",
        "shelf",
        "writeback",
        promise="`sync()` synchronizes, if feasible",
        page="shelve.html#shelve.Shelf.sync",
        ignore=("shelf*",),
        why_ignored="its own files; what is read from them is",
        needs=("dbm.sqlite3",),
        survives_by="removing an empty file before it is opened",
    ),
    dbm("dbm.sqlite3", "`dbm.sqlite3`", "c", promise="promises nothing; SQLite does", needs=("dbm.sqlite3",)),
    dbm("dbm.dumb", "`dbm.dumb`", "c", promise="a last resort fallback", survives_by="`dbm.sqlite3`"),
    dbm(
        "dbm.dumb",
        "`dbm.dumb`, `sync()`",
        "c",
        "sync",
        promise="`sync()` synchronizes the on-disk directory and data files",
        survives_by="`dbm.sqlite3`",
        waits="its sync() says that it synchronizes the files on the disk, and calls no fsync",
        in_ci=False,
    ),
    dbm("dbm.gnu", "`dbm.gnu`", "c", promise=MAPPED, needs=("dbm.gnu",), survives_by="`dbm.sqlite3`"),
    dbm("dbm.gnu", "`dbm.gnu`, flag `s`", "cs", promise=MAPPED, needs=("dbm.gnu",), survives_by="`dbm.sqlite3`"),
    dbm(
        "dbm.ndbm",
        "`dbm.ndbm`, of Berkeley DB",
        "c",
        promise="promises nothing",
        needs=("dbm.ndbm",),
        survives_by="`dbm.sqlite3`",
        traced=True,
    ),
    in_python(
        "csv",
        "`csv.writer()`, appended",
        "csv_file",
        promise="promises nothing",
        page="csv.html#csv.writer",
        survives_by=f"writing all rows anew, and {REPLACE}",
    ),
    in_python(
        "csv-replace",
        f"`csv.writer()`, {REPLACE}",
        "csv_file",
        "replace",
        promise=SYNCED,
        page="os.html#os.fsync",
    ),
    in_python(
        "rotating-log",
        "`RotatingFileHandler`",
        "rotating_log",
        promise="promises nothing about a kill",
        page="logging.handlers.html#rotatingfilehandler",
        survives_by="nothing that it offers: a log is not where state is kept",
    ),
    in_python(
        "zipfile",
        '`zipfile`, mode `"a"`',
        "zip_archive",
        promise="without `close()` essential records are not written",
        page="zipfile.html#zipfile.ZipFile.close",
        ignore=("steps.zip",),
        why_ignored="the archive's bytes; its members are",
        survives_by=f"appending to a copy, and {REPLACE}",
    ),
    in_python(
        "zipfile-replace",
        f"`zipfile`, appended to a copy, {REPLACE}",
        "zip_archive",
        "replace",
        promise=SYNCED,
        page="os.html#os.fsync",
        ignore=("steps.zip",),
        why_ignored="the archive's bytes; its members are",
    ),
    in_python(
        "tarfile",
        '`tarfile`, mode `"a"`',
        "tar_archive",
        promise="`close()` appends the finishing blocks",
        page="tarfile.html#tarfile.TarFile.close",
        ignore=("steps.tar",),
        why_ignored="the archive's bytes; its members are",
        survives_by=f"appending to a copy, and {REPLACE}",
    ),
    in_python(
        "tarfile-replace",
        f"`tarfile`, appended to a copy, {REPLACE}",
        "tar_archive",
        "replace",
        promise=SYNCED,
        page="os.html#os.fsync",
        ignore=("steps.tar",),
        why_ignored="the archive's bytes; its members are",
    ),
    sqlite("DELETE", "OFF", "corrupt if power is lost", survives_by="`synchronous=FULL`"),
    sqlite("DELETE", "NORMAL", "nearly never corrupt if power is lost", survives_by="`synchronous=FULL`"),
    sqlite("DELETE", "FULL", "not corrupt if power is lost"),
    sqlite("WAL", "OFF", "corrupt if power is lost", survives_by="`synchronous=NORMAL`"),
    sqlite("WAL", "NORMAL", "not corrupt; a transaction might roll back if power is lost"),
    sqlite("WAL", "FULL", "not corrupt, and durable"),
)
