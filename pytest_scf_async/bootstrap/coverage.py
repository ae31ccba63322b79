"""Coverage of user code in an instance, while the test process measures its own: with the same options.

Loaded in an instance whose session is measured, and not before. What was measured goes, as coverage serialises it, to a
memory file of the test process: after each event, where the harness asks because it is about to end this process, and
before the process ends itself. What no code of ours sees coming (a crash, SIGKILL from elsewhere) loses the rest.
"""

from __future__ import annotations

import os
import warnings
import zlib

import coverage

from ..protocol import messages
from . import process_ends
from .scheduler.scheduler import scheduler

_measured: coverage.Coverage | None = None
_sink = -1
_identity: tuple[int, int] = (0, 0)
"""Of the memory file: user code may close all descriptors and give the number to a file of its own."""
_saving = False
_saved = b""


class _Coverage(coverage.Coverage):
    """What is saved is what was run: which other files there are, the test process knows, and it warns."""

    def _post_save_work(self) -> None:
        pass

    def _atexit(self, event: str = "atexit") -> None:
        """The process ends a little later, and what it still runs counts."""


def start(config: messages.CoverageConfig, sink: int) -> None:
    """Measure what this process runs from here on, as *config* says."""
    global _measured, _sink, _identity
    before = os.getcwd()
    os.chdir(config.directory)  # what the options name is found from there
    try:
        measured = _Coverage(data_file=None, auto_data=False, config_file=config.config_file or False)
        for name, value in config.options.items():
            measured.set_option(name, value)
        warnings.filterwarnings("ignore", category=coverage.exceptions.CoverageWarning)  # the log is the function's
        measured.start()
    finally:
        os.chdir(before)
    if config.context:
        measured.switch_context(config.context)
    state = os.fstat(sink)
    _measured, _sink, _identity = measured, sink, (state.st_dev, state.st_ino)
    scheduler.save_with(save)
    process_ends.do_first(lambda _: save())


def save() -> None:
    """Give to the test process what this process has run so far. Raises nothing; a signal's handler waits."""
    global _saving
    if _measured is None or _saving:
        return
    main = scheduler.active and scheduler.enter()
    _saving = True
    try:
        _write()
    except Exception:  # a full disk in memory, a file that user code closed: the handler goes on all the same
        pass
    finally:
        _saving = False
        if main:
            scheduler.leave(main)


def _write() -> None:
    global _saved
    assert _measured is not None
    data = _measured.get_data().dumps()
    state = os.fstat(_sink)
    if data == _saved or (state.st_dev, state.st_ino) != _identity:
        return
    os.write(_sink, messages.COVERED.pack(messages.COVERED_MARK, len(data), zlib.crc32(data)) + data)
    _saved = data
