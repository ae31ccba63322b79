"""Coverage: instances measure as the test process does, and what they measured becomes part of its own data.

Nothing here imports coverage: it is there where a session is measured. Each instance writes to one memory file, whose
contents are added to the data of the test process at the end of the session (or of a runtime without one).
"""

from __future__ import annotations

import os
import select
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from ..instances.instance import Instance
from ..protocol import messages
from ..protocol.covered import piece_of, pieces_of
from ..protocol.own_code import OWN_CODE
from ..protocol.real_time import REAL

if sys.platform != "win32":  # which has no instances, and imports this all the same
    import fcntl

SAVE_LIMIT = 5.0
"""Real seconds that instances have to save what they measured before they are ended."""
LOOK_AGAIN_MS = 0.5

_OPTIONS = (
    *("run:branch", "run:context", "run:core", "run:cover_pylib", "run:include", "run:omit", "run:plugins"),
    *("run:relative_files", "run:source", "run:source_dirs", "run:source_pkgs", "run:timid", "run:dynamic_context"),
)
_OFF: dict[str, object] = {"run:debug": [], "run:parallel": False, "run:patch": [], "run:sigterm": False}
"""What an instance does not do: it has no data file, and nothing that user code could see changes in it."""

context: Callable[[], str | None] | None = None
"""Gives the dynamic context of what instances run now."""


def use_context(of_test: Callable[[], str | None] | None) -> None:
    """Have *of_test* give the dynamic context from here on."""
    global context  # noqa: PLW0603  (pytest-cov has one for the session)
    context = of_test


_sinks: dict[Any, int] = {}
"""Each coverage of this process, with the memory file."""


def current() -> Any:
    """The coverage of this process; None where nothing is measured."""
    module = sys.modules.get("coverage")
    return None if module is None else module.Coverage.current()


def plan() -> tuple[dict[str, Any], int] | None:
    """How an instance measures, and the memory file that it writes to; None where nothing is measured."""
    measured = current()
    if measured is None:
        return None
    coverage, options = sys.modules["coverage"], dict[str, Any]()
    for name in (*_OPTIONS, "run:concurrency", *_OFF):
        try:
            value = measured.get_option(name)
        except coverage.exceptions.ConfigError:
            continue  # of another version
        options[name] = _OFF.get(name, value)
    kinds = options.get("run:concurrency") or ()
    kept = [kind for kind in kinds if kind != "multiprocessing"]  # its children are measured as all others
    options["run:concurrency"] = kept or ["thread"]
    directory = coverage.files.relative_directory() or os.getcwd()
    for name in ("run:source", "run:source_dirs"):
        if options.get(name):  # directories by their whole paths; what is none is the name of a package
            paths = {source: os.path.join(directory, source) for source in options[name]}
            options[name] = [path if os.path.isdir(path) else source for source, path in paths.items()]
    options["run:omit"] = [*(options.get("run:omit") or ()), OWN_CODE + "*"]  # not the user's, and must not be traced
    for plugin in options.get("run:plugins") or ():
        own = measured.config.get_plugin_options(plugin)
        options |= {f"{plugin}:{name}": value for name, value in own.items()}
    named = None if context is None else context()
    plan = {"directory": directory, "options": options, "context": named}
    return plan, _sink_of(measured)


def _sink_of(measured: Any) -> int:
    if measured not in _sinks:
        fd = os.memfd_create("scf-async-coverage", os.MFD_CLOEXEC)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND | os.O_RDWR)
        _sinks[measured] = fd
    return _sinks[measured]


def save(instances: Iterable[Instance]) -> None:
    """Have instances that are about to be ended save what they measured; user code runs in none of them after that.

    One that does not within real SAVE_LIMIT seconds, because it is in a long call of C code, loses what it ran since it
    saved last.
    """
    asked: dict[Instance, int] = {}
    for instance in instances:
        if not instance.gone and not instance.released and instance.pidfd is not None:
            asked[instance] = instance.control.saved
            instance.send(messages.Save())
            instance.poke()
            instance.wake_up()
    deadline = REAL.monotonic() + SAVE_LIMIT
    for instance, before in asked.items():
        poller = select.poll()
        poller.register(instance.pidfd or 0, select.POLLIN)
        while instance.control.saved == before and REAL.monotonic() < deadline:
            if poller.poll(LOOK_AGAIN_MS):
                break  # it has ended


def hand_in() -> None:
    """Add what instances have measured to what this process has."""
    while _sinks:
        measured, fd = _sinks.popitem()
        try:
            pieces = dict.fromkeys(pieces_of(os.pread(fd, os.fstat(fd).st_size, 0)))
        finally:
            os.close(fd)
        coverage: Any = sys.modules["coverage"]
        with warnings.catch_warnings():  # there may be no data before, and what is to be warned of is so at the end
            warnings.simplefilter("ignore", coverage.exceptions.CoverageWarning)
            data = measured.get_data()
        for piece in pieces:  # many instances run the same lines
            theirs = coverage.CoverageData(no_disk=True)
            theirs.loads(piece)
            data.update(theirs)
            theirs.close(force=True)


class Shared:
    """A fork of this process, whose lines, and those of its instances, become part of the data of this one.

    What the fork runs itself goes to data in memory meanwhile: the file is this process's.
    """

    def __init__(self) -> None:
        self._fd = os.dup(_sink_of(current()))  # `forget` closes the other one in the fork

    def begins(self) -> None:
        """In the fork: share from here on."""
        measured = current()
        _sinks[measured] = self._fd
        self._own: Any = sys.modules["coverage"].CoverageData(no_disk=True)
        measured._collector.use_data(self._own, None if context is None else context())

    def ends(self) -> None:
        """In the fork, at its end: hand in what it has run itself."""
        for measured, fd in _sinks.items():
            measured._collector.flush_data()
            os.write(fd, piece_of(self._own.dumps()))

    def close(self) -> None:
        """In this process, once it is forked."""
        os.close(self._fd)


def forget() -> None:
    """In a fork of the test process: what was measured is the parent's."""
    while _sinks:
        os.close(_sinks.popitem()[1])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)
