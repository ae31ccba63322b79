"""Refuse writes where the runs of a sweep would share a directory and no mount namespace refuses them.

What Python opens, makes, renames or removes raises the error of a read-only file system then, as it does with mount
namespaces. What code in C writes by itself is not seen; a database of SQLite is, when it is opened.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...protocol.own_code import OWN_CODE
from ...python.scheduler.scheduler import scheduler

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_HERE = -1
"""The descriptor of a directory in an event that has none: its path begins at the working directory."""
_DEVICES = ("/dev", "/proc")

_CHANGED: dict[str, Callable[[Sequence[Any]], Iterable[Any]]] = {
    "open": lambda arguments: arguments[:1] if arguments[2] & _WRITES else (),
    "os.mkdir": lambda arguments: arguments[:1] if arguments[2] == _HERE else (),
    "os.remove": lambda arguments: arguments[:1] if arguments[1] == _HERE else (),
    "os.rmdir": lambda arguments: arguments[:1] if arguments[1] == _HERE else (),
    "os.rename": lambda arguments: arguments[:2] if arguments[2:] == (_HERE, _HERE) else (),
    "os.link": lambda arguments: arguments[1:2] if arguments[3] == _HERE else (),
    "os.symlink": lambda arguments: arguments[1:2] if arguments[2] == _HERE else (),
    "os.truncate": lambda arguments: arguments[:1],
    "sqlite3.connect": lambda arguments: _database(arguments[0]),
}
"""What is written to, by the audit event of Python."""


def watch(allowed: Sequence[str]) -> None:
    """From here on refuse what user code writes elsewhere than below the directories *allowed*."""
    kept = [os.path.realpath(each) for each in allowed] + list(_DEVICES)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        changed = _CHANGED.get(event)
        if changed is None or not scheduler.active or sys._getframe(1).f_code.co_filename.startswith(OWN_CODE):
            return
        for given in changed(arguments):
            if isinstance(given, (str, bytes, os.PathLike)):
                path = os.fsdecode(given)
                folder, name = os.path.split(os.path.abspath(path))
                real = os.path.join(os.path.realpath(folder), name)
                if not any(real == each or real.startswith(f"{each}/") for each in kept):
                    raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    sys.addaudithook(hook)


def _database(given: Any) -> Iterable[str]:
    """The file of a database that is not opened to be read only."""
    name = os.fsdecode(given) if isinstance(given, (str, bytes, os.PathLike)) else ""
    if name.startswith("file:"):
        name, _, options = name.removeprefix("file:").partition("?")
        if "mode=ro" in options or "mode=memory" in options or "immutable=1" in options:
            return ()
    return () if name in ("", ":memory:") else (name,)
