"""What the plugin adds to the report of a phase of a test that failed, and tells wings of each report."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from ..wing_hooks import Reported
from .defaults import temporary_paths

if TYPE_CHECKING:
    from ..async_event import AsyncEvent
    from ..wing_hooks import WingHooks
    from .reporting import Section

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
    directory = partial(_directory_of_files, item.config)
    made = Reported(item, call, report, events, already, wings, directory, seconds, others=len(report.sections))
    if report.failed:
        _explain(made)
    for wing in wings:
        wing.reported(made)
    if call.when == "teardown":
        for wing in wings:
            wing.test_ended(item.config)


def _explain(made: Reported) -> None:
    call, report = made.call, made.report
    refusal = call.excinfo if call.excinfo is not None and call.excinfo.errisinstance(pytest.UsageError) else None
    if refusal is not None and Path(refusal.traceback[-1].path) in _REFUSERS:
        report.longrepr = refusal.getrepr(style="value")  # the sentence says it all
    elif made.error is not None and call.when == "setup":
        from .scopes import mismatch

        report.longrepr = mismatch(made.error, made.item.nodeid) or report.longrepr
    if "pytest_scf_async.runtime" in sys.modules:
        for sections in SECTIONS:
            report.sections += sections(made)


def _timeout(made: Reported) -> list[Section]:
    if made.error is None or "pytest_timeout" not in sys.modules:
        return []
    from . import timeout

    found = timeout.section() if timeout.is_timeout(made.error) else None
    return [] if found is None else [found]


def _causes(made: Reported) -> list[Section]:
    return [each for wing in made.wings for each in wing.causes(made.item)]


def _events(made: Reported) -> list[Section]:
    from .reporting import sections_of

    return sections_of(made, _keep(made))


def _of_wings(made: Reported) -> list[Section]:
    directory = made.directory()
    return [each for wing in made.wings for each in wing.sections(made.item, directory)]


SECTIONS: Final[Sequence[Callable[[Reported], list[Section]]]] = (_timeout, _causes, _events, _of_wings)
"""What gives the sections of the report, in the order in which they stand in it.

One about events is made in `sections_of`, as it takes its lines off those of timelines, and its last line says where
all of them are in full.
"""


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
