"""Which files of a directory are opened while a program runs, in whatever language: the kernel says so (inotify)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

_OPENED: Final = 0x20
_IS_DIRECTORY: Final = 0x4000_0000
_EVENT: Final = struct.Struct("iIII")
"""Watch, mask, cookie and how many bytes of a name follow."""
_LARGEST: Final = 1 << 16
_MOST: Final = 4096
"""Directories that are watched."""
_NOT_ITS_OWN: Final = frozenset({"__pycache__", "site-packages", ".git", ".hg", ".venv", "venv", ".tox", ".nox"})
"""Directories of which nothing is the program's own."""


@contextmanager
def opened_in(directory: str) -> Iterator[list[str]]:
    """The files below *directory* that any process opens in the block, relative to it; known at its end.

    None are where the kernel does not say it, and none in directories past the first 4,096.
    """
    found: list[str] = []
    libc = ctypes.CDLL(None, use_errno=True)
    watcher = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    if watcher < 0:
        yield found
        return
    try:
        paths: dict[int, str] = {}
        for path in islice(_directories(directory), _MOST):
            watch = libc.inotify_add_watch(watcher, os.fsencode(path), _OPENED)
            if watch >= 0:
                paths[watch] = path
        yield found
        seen = dict.fromkeys(_files(watcher, paths))
        found += sorted(os.path.relpath(path, directory) for path in seen if os.path.isfile(path))
    finally:
        os.close(watcher)


def _directories(directory: str) -> Iterator[str]:
    for path, names, _ in os.walk(directory):
        names[:] = [name for name in names if name not in _NOT_ITS_OWN]
        yield path


def _files(watcher: int, paths: dict[int, str]) -> Iterator[str]:
    while True:
        try:
            data = os.read(watcher, _LARGEST)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
            at += length
            if name and watch in paths and not mask & _IS_DIRECTORY:
                yield os.path.join(paths[watch], name)
