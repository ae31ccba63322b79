"""``--scf-async-live-log``: the lines of events' logs on the terminal, as they come."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from ..report.timeline import seconds_text

if TYPE_CHECKING:
    from ..async_event import AsyncEvent
    from ..model.log_lines import LogLine


class LiveLog:
    """Prints through pytest's own terminal reporter, past its capture; where there is no terminal it does nothing."""

    def __init__(self, config: pytest.Config) -> None:
        self._terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")

    def __call__(self, event: AsyncEvent, line: LogLine) -> None:
        """Print *line* behind the name of the function, the first part of the request id and its simulated time."""
        if self._terminal is None:  # a worker of xdist
            return
        captured = self._capture.global_and_fixture_disabled() if self._capture else contextlib.nullcontext()
        with captured:
            passed = seconds_text(line.time_us - event._event.invoked_us)
            self._terminal.write_line(f"{event.function_name} {event.request_id[:8]} +{passed} | {line.text}")
            self._terminal.flush()
