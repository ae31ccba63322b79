"""The check: what is wrong with the code of a function before it is deployed. It reads files, and runs nothing."""

from __future__ import annotations

import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

from .. import session
from ..errors import Given, ScfUsageError, hidden_from_users, keywords_named
from ..instances.code import resolve, size_of
from ..instances.layers import layer_paths, merged
from ..instances.packages import LARGEST_CODE
from ..model import configuration as limits
from .binaries import why_not
from .imports import Imports

__tracebackhide__ = hidden_from_users

LARGEST_ZIP: Final = 50 * 1024 * 1024
"""Bytes of a zip that is sent with CreateFunction (document 18586); a larger one is uploaded to COS."""
CONFIGURATIONS: Final = ("serverless.yml", "serverless.yaml", "template.yaml", "template.yml")
_LINE: Final = re.compile(
    r"""\s*(handler|runtime|timeout|asyncRunEnable|layers):\s*["']?([^\s"'#]*).*""", re.IGNORECASE
)
_KINDS: Final = {
    **dict.fromkeys(limits.PYTHON_RUNTIMES, ("index.main_handler", ".py")),
    **dict.fromkeys(limits.NODE_RUNTIMES, ("index.main_handler", ".js")),
    limits.GO_RUNTIME: ("main", ""),
    limits.CUSTOM_RUNTIME: ("bootstrap", ""),
}
"""The runtimes that are checked: the handler unless one is given, and the suffix of its file; of a program, none."""


@keywords_named("assert_deployable(...)")
def assert_deployable(
    path: str | os.PathLike[str],
    *,
    handler: str | None = None,
    runtime: str | None = None,
    layers: Sequence[str | os.PathLike[str]] = (),
    environment: Mapping[str, str] | None = None,
    timeout: float | timedelta | None = None,
    async_run: bool | None = None,
    by_cos: bool = False,
    config: str | os.PathLike[str] | None = None,
) -> None:
    """The code of *path* can be deployed, as far as its files show; nothing of it is run.

    *path* is a directory, a zip, or ``"path/to/file.py:main_handler"``, and *layers* are directories and zips, looked
    up as ``deploy`` does. Handler, runtime, timeout and `asyncRunEnable` that are not given are those of *config*, by
    default the `serverless.yml` or `template.yaml` in *path*, if that names one function; otherwise
    `"index.main_handler"` and `"Python3.10"`. *timeout* is seconds; the platform's default of 3 is a finding for an
    async function (documents 18586, 51519). With *by_cos* a zip may have more than 50 MB. Raises ``AssertionError``
    with a sentence for each finding, and ``ScfUsageError`` for a path that is not there, a zip that cannot be unpacked,
    and a runtime that is not checked.
    """
    __tracebackhide__ = True
    lookup = tuple(os.fspath(each) for each in session.defaults().lookup) or (os.getcwd(),)
    shown = os.fspath(path).rstrip("/")
    if not shown:  # and not the working directory: a variable of the shell was empty
        raise ScfUsageError(f"path is {os.fspath(path)!r}; it must be a directory of code, a zip or a file's handler")
    of_file = re.fullmatch(r"(.*?)/?[^/]+\.py:\w+", shown)
    with tempfile.TemporaryDirectory(prefix="scf-check-") as scratch:
        code = resolve(shown, None if of_file else "index.main_handler", lookup, lambda: scratch)
        roots = {code.directory: (of_file[1] or ".") if of_file else shown}
        for given, layer in zip(layers, layer_paths(layers, lookup), strict=True):
            roots[merged((layer,), lambda: scratch) or layer] = os.fspath(given)
        said = _said(code.directory, config)
        runtime = runtime or said["runtime"].value or "Python3.10"
        if runtime not in _KINDS:
            raise ScfUsageError(f"runtime={runtime!r} is not checked; these are: {', '.join(_KINDS)}")
        default, suffix = _KINDS[runtime]
        handler = handler or (code.handler if of_file else said["handler"].value or default)
        zipped = os.path.getsize(code.archive) if code.archive and not by_cos else 0
        found = [*_sizes(zipped, sum(size_of(replace(code, directory=directory)) for directory in roots))]
        variables = environment or {}
        wrong = [why for each in variables.items() for why in _limits("environment", dict([each]))]
        found += [*(wrong or _limits("environment", variables)), *_timeout(said, timeout, async_run)]
        module, _, function = str(handler).replace("/", ".").rpartition(".") if suffix else (handler, "", "")
        file = f"{module.replace('.', '/')}{suffix}"
        wrong = _limits("handler", handler, runtime=runtime) or _missing(code.directory, file, handler)
        entry = os.path.join(code.directory, file)
        version = re.fullmatch(r"Python3\.(\d+)", runtime)  # the syntax of Python 2 cannot be read here
        found += wrong or ([] if suffix else _program(entry))
        if not wrong and version and (layers or "layers" not in said):
            imports = Imports([*roots], (3, int(version[1])))
            imports.read(module, entry, function)
            found += imports.findings.values()
    text = "".join(f"\n- {each}" for each in found)
    for directory, name in roots.items():
        text = text.replace(directory, name)
    if text:
        raise AssertionError(f"{shown} cannot be deployed ({handler}, {runtime}):{text}")


def _sizes(zipped: int, unpacked: int) -> Iterator[str]:
    if unpacked > LARGEST_CODE:
        text = f"code and layers have {unpacked:,} bytes unpacked, and the platform takes {LARGEST_CODE:,}"
        yield f"{text}: leave out what is not needed, or deploy an image"
    if zipped > LARGEST_ZIP:
        text = f"the zip has {zipped:,} bytes, and CreateFunction takes {LARGEST_ZIP:,}"
        yield f"{text}: upload it to COS (by_cos=True, --by-cos), or move packages into layers"


class _Said(NamedTuple):
    """What the file of a deployment tool says, and where."""

    value: str = ""
    where: str = ""


def _said(directory: str, config: str | os.PathLike[str] | None) -> Mapping[str, _Said]:
    """What *config* says, or the file that is in the *directory*; nothing where that names more than one function."""
    found: dict[str, _Said] = defaultdict(_Said)
    near = [Path(directory, name) for name in CONFIGURATIONS]
    for file in [Path(config)] if config is not None else filter(Path.is_file, near):
        try:
            lines = file.read_text("utf-8", "replace").splitlines()
        except OSError as error:
            raise ScfUsageError(f"config is {str(file)!r}, which cannot be read: {error.strerror}") from None
        for number, line in enumerate(lines, 1):
            if match := _LINE.fullmatch(line):
                name = match[1].lower()
                if name in found and name != "layers":
                    return defaultdict(_Said)
                found[name] = _Said(match[2], f"{file}:{number}: ")
    return found


def _timeout(said: Mapping[str, _Said], timeout: float | timedelta | None, async_run: bool | None) -> Iterator[str]:
    seconds, is_async = said["timeout"], said["asyncrunenable"]
    async_run = is_async.value.lower() == "true" if async_run is None and is_async.value else async_run
    timeout = int(seconds.value) if timeout is None and seconds.value.isdigit() else timeout
    yield from (f"{seconds.where}{each}" for each in _limits("timeout", timeout, async_run=async_run is not False))
    if async_run and (timeout in (3, timedelta(seconds=3)) or (timeout is None and not seconds.value)):
        text = "the timeout of this async function is 3 s, the platform's default: what takes longer is FAILED, 433"
        yield f"{seconds.where or is_async.where}{text}; set one of up to {limits.DEFAULT_ASYNC_TIMEOUT:,} s"


def _limits(name: str, value: object, **others: object) -> list[str]:
    """Why the platform does not take the *value* of an option."""
    try:
        limits.LIMITS[name](Given(name, value), {other: Given(other, each) for other, each in others.items()})
    except ScfUsageError as error:
        return [str(error)]
    return []


def _missing(directory: str, file: str, handler: str) -> list[str]:
    """Why the *file* that the runtime starts with is not where that looks for it, at the root."""
    if os.path.isfile(os.path.join(directory, file)):
        return []
    text = f"{directory} has no {file} for the handler {handler!r}, which is event code 437"
    inner = next((each.relative_to(directory).parts[0] for each in Path(directory).glob(f"*/{file}")), "")
    cure = f"pack what is in {inner}, and not {inner} itself" if inner else "pack it, or give the handler that is there"
    return [f"{text}: {cure}"]


def _program(path: str) -> Iterator[str]:
    content = Path(path).read_bytes()
    if not os.access(path, os.X_OK):
        yield f"{path}: it is not executable: chmod 755, and pack it again"
    if not content.startswith(b"#!") and (why := why_not(content)):
        yield f"{path}: it {why}: build it with GOOS=linux GOARCH=amd64, or on CentOS 7"
