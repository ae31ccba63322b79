"""The rows of Python's standard library."""

from __future__ import annotations

from rows import Row

ROWS = (
    Row(
        name="open-in-place",
        title='`open("w")` in place',
        directory="open_in_place",
        command=("python", "job.py", "{path}"),
        promise="promises nothing: `w` truncates the file first",
        page="https://docs.python.org/3/library/functions.html#open",
        survives_by="`os.replace()` of a synced file",
        in_ci=True,
    ),
    Row(
        name="rename",
        title="`os.replace()`",
        directory="rename",
        command=("python", "job.py", "{path}"),
        promise="atomic; nothing about power",
        page="https://docs.python.org/3/library/os.html#os.replace",
        survives_by="`os.replace()` of a synced file",
        in_ci=True,
    ),
    Row(
        name="rename-synced",
        title="`os.replace()` of a synced file",
        directory="rename",
        command=("python", "job.py", "{path}", "sync"),
        promise="atomic; `os.fsync()` forces the file to disk",
        page="https://docs.python.org/3/library/os.html#os.fsync",
        in_ci=True,
    ),
    Row(
        name="rename-synced-with-directory",
        title="`os.replace()` of a synced file, and its directory synced",
        directory="rename",
        command=("python", "job.py", "{path}", "sync", "directory"),
        promise="atomic; `os.fsync()` forces the file to disk",
        page="https://docs.python.org/3/library/os.html#os.fsync",
    ),
)
