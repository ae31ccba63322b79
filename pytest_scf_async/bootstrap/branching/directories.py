"""Where the processes of a sweep write: each finds its own directories there, though all of them have the same mounts.

Only one of these processes runs at any time. What belongs to the others, which wait for it, is moved aside for so long.
Mounts of its own for each process would take the kernel about as long as the fork does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from typing import NamedTuple

from ...protocol.linux import move_all, remove_tree
from .. import mounts

_PRIVATE = ("/tmp", "/dev/shm")


class CannotCopyError(Exception):
    """Something in these directories cannot be copied; what, as a text."""


class _Place(NamedTuple):
    """A directory of ours that user code may write to."""

    path: str
    beside: str
    """A directory of the same file system, for what is moved aside."""
    kept: frozenset[str]
    """What is in it for good: the way to a directory that is mounted below it."""

    def others(self) -> list[str]:
        return [name for name in os.listdir(self.path) if name not in self.kept]


class Directories:
    """``run.path``, ``/tmp`` and ``/dev/shm`` of all processes that are forked from one root.

    The directory *home* has one for each run, for its files while those of another run are in ``run.path``.
    """

    def __init__(self, run_path: str, home: str) -> None:
        """Mount what is needed; raises OSError where the kernel refuses that."""
        self._home = home
        self._current, parts = self.path_of("current"), self.path_of("parts")
        for directory in (self._current, parts):
            os.mkdir(directory)
        mounts.bind_over(self._current, run_path)
        private = [path for path in _PRIVATE if os.path.isdir(path)]
        self.mounted = frozenset(mounts.mount_parts(parts, private))
        """What is mounted below the private directories."""
        self._places = [_Place(self._current, home, frozenset())]
        for number, path in enumerate(private):
            part = os.path.join(parts, str(number))
            for folder, folders, names in os.walk(part):
                if path + folder[len(part) :] not in self.mounted:
                    self._places.append(_Place(folder, parts, frozenset((*folders, *names))))
        self._modes = [_mode_of(place.path) for place in self._places]
        """The permissions of the places for the process that waits."""
        self._aside: list[tuple[_Place, str]] = []
        """What is aside for the process that waits: where it was, and the directory in which it is."""

    def path_of(self, name: str) -> str:
        """The directory of the run with that name."""
        return os.path.join(self._home, name)

    def copy_run(self, name: str) -> None:
        """Copy ``run.path`` for the run with that name; raises OSError or `CannotCopyError`."""
        directory = self.path_of(name)
        os.mkdir(directory)
        copy_tree(self._current, directory)
        os.chmod(directory, _mode_of(self._current))

    def put(self, name: str) -> None:
        """Have the files of that run be in ``run.path``, which is empty."""
        directory = self.path_of(name)
        mode = _mode_of(directory)
        if not _is_writable(mode):
            os.chmod(directory, mode | stat.S_IRWXU)
        move_all(directory, self._current)
        os.chmod(self._current, mode)

    def take(self, name: str) -> None:
        """Have the files in ``run.path`` be those of that run, and empty the private directories."""
        mode = _mode_of(self._current)
        with self._writable():
            move_all(self._current, self.path_of(name))
            for place in self._places:
                for entry in place.others():
                    _remove(os.path.join(place.path, entry))
        os.chmod(self.path_of(name), mode)

    def set_aside(self, name: str) -> None:
        """Have the files of that run be in ``run.path``, and copies be in the private directories, until `restore`.

        Raises OSError or `CannotCopyError`; nothing is aside then.
        """
        self._modes = [_mode_of(place.path) for place in self._places]
        self._aside = []
        try:
            with self._writable():
                for number, place in enumerate(self._places):
                    if place.others():
                        aside = os.path.join(place.beside, f"aside-{number}-{name}")
                        os.mkdir(aside)
                        self._aside.append((place, aside))
                        move_all(place.path, aside, place.kept)
                for place, aside in self._aside:
                    if place.path != self._current:
                        copy_tree(aside, place.path)
                self.put(name)
        except (OSError, CannotCopyError):
            self.restore(name)
            raise

    def restore(self, name: str) -> None:
        """Undo `set_aside`; what is in ``run.path`` are the files of that run again."""
        self.take(name)
        with self._writable():
            for place, aside in self._aside:
                move_all(aside, place.path)
                os.rmdir(aside)

    @contextlib.contextmanager
    def _writable(self) -> Iterator[None]:
        """The places are writable in the ``with`` block, and have the permissions of `_modes` behind it."""
        for place, mode in zip(self._places, self._modes, strict=True):
            os.chmod(place.path, mode | stat.S_IRWXU)
        yield
        for place, mode in zip(self._places, self._modes, strict=True):
            if not _is_writable(mode):
                os.chmod(place.path, mode)


def _is_writable(mode: int) -> bool:
    return mode & stat.S_IRWXU == stat.S_IRWXU


def _mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def _remove(path: str) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        remove_tree(path)
    else:
        os.unlink(path)


def copy_tree(source: str, target: str) -> None:
    """Copy what is in the directory *source* into the directory *target*: modes and times, too."""
    with os.scandir(source) as entries:
        found = list(entries)
    for entry in found:
        path = os.path.join(target, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), path)
        elif entry.is_dir():
            os.mkdir(path)
            copy_tree(entry.path, path)
            shutil.copystat(entry.path, path)
        elif entry.is_file():
            shutil.copy2(entry.path, path)
        elif stat.S_ISFIFO(entry.stat(follow_symlinks=False).st_mode):
            os.mkfifo(path)
        else:
            raise CannotCopyError(f"{entry.path} is a special file")
