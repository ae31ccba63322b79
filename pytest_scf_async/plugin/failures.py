"""What the plugin adds to the report of a phase of a test that failed, and tells wings of each report."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from ..wing_hooks import Reported
from .defaults import temporary_paths

if TYPE_CHECKING:
    from ..async_event import AsyncEvent
    from ..wing_hooks import Traced, WingHooks

_REFUSERS: Final = [Path(__file__).with_name(f"{name}.py") for name in ("plugin", "settings", "markers", "factory")]
"""What refuses values that a test gave to a fixture of ours."""


def complete(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    *,
    events: Sequence[AsyncEvent],
    already: Sequence[AsyncEvent],
    seconds: float | None,
    wings: Sequence[WingHooks],
) -> None:
    """Add to the *report* of a failure what is known of the *events*, and tell *wings* of it; *already* is shown."""

    def traced() -> list[Traced]:
        return [each for wing in wings for each in wing.traced(item.config)]

    directory = partial(_directory_of_files, item.config)
    made = Reported(item, call, report, events, traced, directory, seconds, others=len(report.sections))
    if report.failed:
        _explain(made, already, wings)
    for wing in wings:
        wing.reported(made)
    if call.when == "teardown":
        for wing in wings:
            wing.test_ended(item.config)


def _explain(made: Reported, already: Sequence[AsyncEvent], wings: Sequence[WingHooks]) -> None:
    item, call, report, events = made.item, made.call, made.report, made.events
    refusal = call.excinfo if call.excinfo is not None and call.excinfo.errisinstance(pytest.UsageError) else None
    if refusal is not None and Path(refusal.traceback[-1].path) in _REFUSERS:
        report.longrepr = refusal.getrepr(style="value")  # the sentence says it all
    elif call.excinfo is not None and call.when == "setup":
        from .scopes import mismatch

        report.longrepr = mismatch(call.excinfo.value, item.nodeid) or report.longrepr
    if "pytest_scf_async.runtime" not in sys.modules:
        return
    from ..errors import ScfAsyncError
    from ..report.limits import shown_by
    from .reporting import sections_of

    if call.excinfo is not None and "pytest_timeout" in sys.modules:
        from . import timeout

        if timeout.is_timeout(call.excinfo.value) and (found := timeout.section()) is not None:
            report.sections.append(found)
    shown, used = [*already], 0
    if call.excinfo is not None:
        error = call.excinfo.value
        in_its_text = shown_by(error)
        shown += [event for event in events if event._event is in_its_text]
        used = str(error).count("\n") + 1 if shown or isinstance(error, ScfAsyncError) else 0
    for wing in wings:
        report.sections += wing.causes(item)
    report.sections += sections_of(events, shown, _keep(made), used)
    for wing in wings:
        report.sections += wing.sections(item, made.directory())


def _keep(made: Reported) -> dict[str, str]:
    """Write the events of a test that failed below the directory of artifacts, or pytest's; where each of them is."""
    from ..errors import ScfAsyncError

    for lockstep in {event._lockstep for event in made.events}:
        try:
            lockstep.refresh()  # the last word of instances that still run
        except (ScfAsyncError, OSError):
            pass  # the report of the failure says what is known
    directory = made.directory()
    if directory is None:
        return {}
    from .artifacts import keep

    return keep(directory, made.item.nodeid, made.events)


def _directory_of_files(config: pytest.Config) -> str | None:
    """None where nobody wants them, and pytest has no temporary directories."""
    given: str | None = config.option.scf_async_artifacts
    temporary = temporary_paths(config)
    if given or temporary is None:
        return given
    return os.path.join(temporary.getbasetemp(), "scf-async")
