"""The form of a row of docs/survival.md: a way to keep state, and the job in which it is tried.

`ROWS` of rows_of_python.py and of each other file like it are one table. A job is in a directory of its own; it is
resumable: it takes three steps, keeps in `{path}` what it has done, and when it is killed and started again with the
same command it comes to the same end. It exits with 0 when its work is done. One step writes more than 4,096 bytes, so
that a kill can cut a write.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A way to keep state, with the options of one of its uses."""

    name: str
    """Of no other row: ``"sqlite3-wal-normal"``. ``make survival ROWS=sqlite3-wal-normal`` runs it alone."""
    title: str
    """As the page names it, in Markdown, with its options: ``"`sqlite3`, WAL, `synchronous=NORMAL`"``."""
    directory: str
    """The directory of its job, beside this file; its command is started there."""
    command: tuple[str, ...]
    """``("python", "job.py", "{path}", "wal", "normal")``: ``{path}`` is the directory of a run, empty at first."""
    promise: str
    """What its own documentation says, in a few words: ``"promises nothing"``, ``"atomic after a crash"``."""
    page: str
    """The address of the page that says it, or that says nothing."""
    survives_by: str = ""
    """What makes it survive, where it does not: an option, or the title of another row."""
    needs: tuple[str, ...] = ()
    """What must be installed: a pinned distribution of Python (``"zarr==3.1.5"``), a module of the standard library
    that not each Python has (``"dbm.gnu"``), or a program (``"git"``)."""
    ignore: tuple[str, ...] = ()
    """Files that are not compared, as ``ignore=`` of a sweep takes them, ..."""
    why_ignored: str = ""
    """... and why, which the page says."""
    build: tuple[str, ...] = ()
    """The command that makes ``{program}``, which its own starts: ``("go", "build", "-o", "{program}", "main.go")``."""
    limit: int = 400
    """At how many points a sweep of it interrupts it at most, ..."""
    limit_of_twice: int = 400
    """... and one that begins with what a kill has left."""
    traced: bool = False
    """A Python job is traced, with what it starts, instead of being run in the instance."""
    preload: tuple[str, ...] = ()
    """Modules that are imported once for all runs."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of the job."""
    in_ci: bool = False
    """CI sweeps it, kills only, and compares with the page."""
    waits: str = ""
    """Why it is not on the page: what it promises is broken, and its maintainers have not been told by a person yet."""
    unproven: str = ""
    """Why it is not on the page yet: what its sweeps say is not certain."""
