"""What a function has beside its code: layers, directories and zips that appear at ``/opt``, and mounts."""

from __future__ import annotations

import csv
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import HarnessError, ScfUsageError, hidden_from_users
from .packages import check_archive, unpack

__tracebackhide__ = hidden_from_users

OPT = "/opt"
INSTANCES_OWN = ("/", "/tmp", "/dev", "/dev/shm", "/proc", "/sys", "/var", "/var/user", OPT)
"""Where nothing can be mounted: an instance has these of its own, or would miss them."""


def layer_paths(layers: object, lookup: tuple[str, ...]) -> tuple[str, ...]:
    """The absolute paths of *layers*, in their order; relative ones are looked up in the directories *lookup*.

    Raises ``ScfUsageError`` for one that is not there, and for a zip with a member outside.
    """
    if isinstance(layers, (str, os.PathLike)) or not isinstance(layers, Sequence):
        raise ScfUsageError(f"layers={layers!r} is not valid: it must be a list of directories and zips")
    return tuple(_layer_path(each, lookup) for each in layers)


def _layer_path(layer: object, lookup: tuple[str, ...]) -> str:
    path = _found("layers", layer, lookup)
    if os.path.isdir(path):
        check_readable(path, f"the layer {path}")
    elif zipfile.is_zipfile(path):
        check_archive(path, "layer")
    else:
        raise ScfUsageError(f"layers has {layer!r}, and {path} is neither a directory nor a zip")
    return path


def layer_below_which(layers: Sequence[str], module: str) -> tuple[str, str] | None:
    """The one of *layers* that has *module* in a directory and not at its root, and that directory in it."""
    below = re.compile(rf"(.+?)/{re.escape(module.replace('.', '/'))}(/.+|\.py|(\.[^/]+)?\.so)")
    for layer in layers:
        if os.path.isdir(layer):
            paths = [os.path.join(at, name) for at, _, names in os.walk(layer) for name in names]
            names = [os.path.relpath(path, layer) for path in paths]
        else:
            with zipfile.ZipFile(layer) as archive:
                names = archive.namelist()
        found = [match[1] for match in map(below.fullmatch, names) if match is not None]
        if found:
            return layer, min(found, key=len)
    return None


def installed_in(layers: Sequence[str]) -> frozenset[str]:
    """Names at the root of *layers* that are installed packages or modules: a ``RECORD`` of pip lists their files."""
    found: set[str] = set()
    for layer in layers:
        if os.path.isdir(layer):
            texts = [path.read_text("utf-8") for path in Path(layer).glob("*.dist-info/RECORD")]
        else:
            with zipfile.ZipFile(layer) as archive:
                records = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)]
                texts = [archive.read(name).decode("utf-8") for name in records]
        for row in csv.reader(line for text in texts for line in text.splitlines()):
            found.add(row[0].partition("/")[0] if row else "")
    return frozenset(name for name in found if name not in ("", "..") and not name.endswith(".dist-info"))


def mounted_directories(mounts: object, lookup: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """*mounts* as pairs of absolute paths, on the host and in an instance. Raises ``ScfUsageError``."""
    valid = "it must be a list of directories, or of pairs (directory, where it is in an instance)"
    if isinstance(mounts, (str, os.PathLike)) or not isinstance(mounts, Sequence):
        raise ScfUsageError(f"mounts={mounts!r} is not valid: {valid}")
    pairs = []
    for each in mounts:
        host, inside = each if isinstance(each, (tuple, list)) and len(each) == 2 else (each, None)
        path = _found("mounts", host, lookup)
        if not os.path.isdir(path):
            raise ScfUsageError(f"mounts has {host!r}, and {path} is not a directory")
        place = path if inside is None else os.fspath(inside) if isinstance(inside, (str, os.PathLike)) else ""
        if not isinstance(place, str) or not os.path.isabs(place):
            raise ScfUsageError(f"mounts has {each!r}, and {inside!r} is not an absolute path")
        place = os.path.normpath(place)
        if place in INSTANCES_OWN:
            raise ScfUsageError(f"mounts has {each!r}, and an instance has a {place} of its own: choose another place")
        pairs.append((path, place))
    return tuple(pairs)


def _found(name: str, given: object, lookup: tuple[str, ...]) -> str:
    path = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(path, str) or not path:
        raise ScfUsageError(f"{name} has {given!r} of type {type(given).__name__}; it must be paths")
    candidates = [path] if os.path.isabs(path) else [os.path.join(directory, path) for directory in lookup]
    found = existing(candidates, f"{name} has {path!r}")
    if found is None:
        raise ScfUsageError(f"{name} has {path!r}, and there is no {' and no '.join(absolute(candidates))}")
    return found


def existing(candidates: Sequence[str], given: str) -> str | None:
    """The first of the paths *candidates* that is there, resolved.

    Raises ``ScfUsageError``, which begins with *given*, for one behind a directory that may not be searched.
    """
    for candidate in candidates:
        try:
            os.stat(candidate)
        except PermissionError as error:
            raise ScfUsageError(f"{given}, and {candidate} cannot be read: {error.strerror}") from None
        except (OSError, ValueError):
            continue
        return os.path.realpath(candidate)
    return None


def absolute(candidates: Sequence[str]) -> list[str]:
    """Each of *candidates* once, for an error."""
    return list(dict.fromkeys(map(os.path.abspath, candidates)))


def check_readable(directory: str, what: str) -> None:
    """Raise ``ScfUsageError`` where *directory* cannot be read by whoever runs the tests."""
    try:
        with os.scandir(directory):
            os.stat(os.path.join(directory, os.curdir))
    except OSError as error:
        raise ScfUsageError(f"{what} cannot be read: {error.strerror}") from None


_made: dict[tuple[object, ...], str] = {}
"""By the scratch directory, the layers and the places: where they are together."""


def merged(layers: tuple[str, ...], scratch: Callable[[], str]) -> str | None:
    """One directory with all of *layers*, later ones over earlier ones; None where there are none."""
    if not layers:
        return None
    if len(layers) == 1 and os.path.isdir(layers[0]):
        return layers[0]
    return _together(layers, (), scratch())


def opt_directory(layers: tuple[str, ...], places: tuple[str, ...], scratch: Callable[[], str]) -> str | None:
    """What is mounted at ``/opt``: *layers*, and a directory for each of *places*, relative paths to be mounted on.

    None: nothing, as the host has nothing there either.
    """
    if not layers and not (os.path.isdir(OPT) and os.listdir(OPT)):
        return None
    return _together(layers, places, scratch()) if places or not layers else merged(layers, scratch)


def _together(layers: tuple[str, ...], places: tuple[str, ...], scratch: str) -> str:
    """A directory below *scratch*, made once."""
    known = _made.get((scratch, layers, places))
    if known is not None and os.path.isdir(known):
        return known
    target = ""
    try:
        target = tempfile.mkdtemp(prefix="layers-", dir=scratch)
        os.chmod(target, 0o755)
        copy_layers(layers, target, scratch)
        for place in places:
            os.makedirs(os.path.join(target, place), exist_ok=True)
    except ScfUsageError:
        shutil.rmtree(target, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        shown = f"the layers {', '.join(layers)}" if layers else f"an empty {OPT}"
        raise HarnessError(f"{shown} cannot be made below {scratch}: {error.strerror or error}") from None
    for key in [key for key, path in _made.items() if not os.path.isdir(path)]:
        del _made[key]
    _made[scratch, layers, places] = target
    return target


def copy_layers(layers: Sequence[str], target: str, scratch: str) -> None:
    """Put all of *layers* into the directory *target*, later ones over earlier ones; zips are unpacked in *scratch*."""
    for layer in layers:
        if os.path.isdir(layer):
            _copy_over(layer, target)
            continue
        with tempfile.TemporaryDirectory(dir=scratch) as unpacked:
            unpack(layer, unpacked, "layer")
            _copy_over(unpacked, target)


def _copy_over(source: str, target: str) -> None:
    """Put everything in the directory *source* into *target*, where it replaces what has the same name."""
    with os.scandir(source) as entries:
        for entry in entries:
            place = os.path.join(target, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if os.path.islink(place) or not os.path.isdir(place):
                    _remove(place)
                    os.mkdir(place)
                _copy_over(entry.path, place)
            else:
                _remove(place)
                shutil.copy2(entry.path, place, follow_symlinks=False)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
