"""Measure the coverage of user code in an instance, with the options of the test process.

An instance imports this only if the session is measured. The data goes, as coverage serialises it, to a memory file of
the test process: after each event, when the harness asks because it is about to end this process, and before the
process ends itself. An end that cannot be foreseen (a crash, SIGKILL by others) loses what came since.
"""

from __future__ import annotations

import os
import warnings
from contextlib import nullcontext
from typing import Any

import coverage

from ...protocol.covered import piece_of
from ...python import process_ends
from ...python.scheduler.scheduler import Deferred, scheduler

_measured: coverage.Coverage | None = None
_sink = -1
_identity: tuple[int, int] = (0, 0)
"""Device and inode of the memory file: user code may close all descriptors and open a file of its own there."""
_saving = False
_saved = b""


class _Coverage(coverage.Coverage):
    """Coverage that saves only what has run; the test process knows the other files, and warns."""

    def _post_save_work(self) -> None:
        pass

    def _atexit(self, event: str = "atexit") -> None:
        """Do nothing: the process ends a little later, and what it runs until then counts."""


def prepare() -> None:
    """Import what each instance needs."""
    import coverage.sqldata  # noqa: F401, PLC0415


def begin(descriptors: list[int], *, directory: str, options: dict[str, Any], context: str | None) -> None:
    """Measure from here on, with the *options* of the test's process, which name files from *directory*.

    The configuration file is not read again: an instance may not see it, as one that lies in the host's ``/tmp``.
    """
    global _measured, _sink, _identity
    sink, before = descriptors.pop(0), os.getcwd()
    os.chdir(directory)  # what the options name is found from there
    try:
        measured = _Coverage(data_file=None, auto_data=False, config_file=False)
        for name, value in options.items():
            measured.set_option(name, value)
        warnings.filterwarnings("ignore", category=coverage.exceptions.CoverageWarning)  # the log is the function's
        measured.start()
    finally:
        os.chdir(before)
    if context:
        measured.switch_context(context)
    state = os.fstat(sink)
    _measured, _sink, _identity = measured, sink, (state.st_dev, state.st_ino)
    scheduler.save_with(save)
    process_ends.do_first(lambda _: save())


def save() -> None:
    """Give the test process the data so far. It raises nothing, and handlers of signals wait."""
    global _saved, _saving
    if _measured is None or _saving:
        return
    with Deferred(scheduler) if scheduler.active else nullcontext():
        _saving = True
        try:
            data, state = _measured.get_data().dumps(), os.fstat(_sink)
            if data != _saved and (state.st_dev, state.st_ino) == _identity:
                os.write(_sink, piece_of(data))
                _saved = data
        except Exception:  # a full disk in memory, a file that user code closed: the handler goes on all the same
            pass
        finally:
            _saving = False
