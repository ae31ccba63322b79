"""The name of each thread, and what it waits for in real time, in shared memory for error texts of the harness."""

from __future__ import annotations

import _thread
import os
import threading
from collections.abc import Sequence
from typing import Any

from ..protocol import shared_page
from .patches import registry
from .scheduler.scheduler import scheduler

_get_ident = _thread.get_ident
_get_native_id = _thread.get_native_id
_real_name: Any = threading.Thread.name

_table: Any = None
_free: list[int] = []
_LONGEST_NAME = 51
"""How many bytes there is room for, in the rows of ``shared_page``."""
_rows: dict[int, int] = {}
"""The row of each thread, by its identity."""


def keep_in(table: memoryview) -> None:
    """Keep the rows in *table*; the calling thread is the main one, whose name the harness knows."""
    global _table
    _table = table
    _free[:] = range(shared_page.THREAD_ROWS)


def begin(name: object) -> None:
    """Add the calling thread, which has just been started with *name*."""
    ident = _get_ident()
    row = _rows.get(ident)  # of a thread of C code, whose end is not seen
    if row is None:
        try:
            row = _free.pop()
        except IndexError:
            return  # the table is full, and this thread has no name
        _rows[ident] = row
    _write(row, ident, _get_native_id(), name)


def end() -> None:
    """Remove the calling thread, which ends."""
    row = _rows.pop(_get_ident(), None)
    if row is not None:
        size = shared_page.THREAD_ROW.size
        _table[row * size : (row + 1) * size] = bytes(size)
        _free.append(row)


def _write(row: int, ident: int, native: int, name: object) -> None:
    data = str(name or "").encode("utf-8", "replace")[:_LONGEST_NAME]
    shared_page.THREAD_NAME.pack_into(_table, row * shared_page.THREAD_ROW.size, ident, native, len(data), data)


def holds(description: str, peers: Sequence[str] = ()) -> None:
    """Note that the calling thread is parked for something real, *description*; empty: it is no longer.

    *peers* are those for whose answers it waits.
    """
    ident = _get_ident()
    if ident not in _rows and description:
        begin("MainThread" if ident == scheduler.main_ident else None)
    row = _rows.get(ident)
    if row is not None:
        data = shared_page.wait_of_thread(description, peers)
        shared_page.THREAD_HOLDS.pack_into(
            _table, row * shared_page.THREAD_ROW.size + shared_page.THREAD_NAME.size, len(data), data
        )


def _rename(thread: threading.Thread, name: str) -> None:
    _real_name.fset(thread, name)
    ident = thread.ident
    if not scheduler.active or ident is None:
        return
    if ident == scheduler.main_ident and ident not in _rows and _free:
        _rows[ident] = _free.pop()
    row = _rows.get(ident)
    if row is not None:
        native = os.getpid() if ident == scheduler.main_ident else thread.native_id  # Python has the zygote's for main
        _write(row, ident, native or 0, thread._name)  # type: ignore[attr-defined]


def install() -> None:
    name = property(_real_name.fget, _rename, doc=_real_name.__doc__)
    registry.replace(threading.Thread, "name", name, "error texts name the thread")
