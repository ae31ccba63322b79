"""The writer of traces in a session of pytest; each session with a runtime imports it."""

from __future__ import annotations

import os
from typing import Any, Final

import pytest

from ..wing_hooks import Reported, WingHooks

_ON_FAILURE: Final = "retain-on-failure"


class TraceHooks(WingHooks):
    """The writer of traces."""

    def configure(self, config: pytest.Config) -> None:
        from .option import resolve  # noqa: PLC0415

        resolve(config)

    def reported(self, reported: Reported) -> None:
        """Write the trace of a test that has events or sweeps, where one is wanted."""
        config, failed = reported.item.config, reported.report.failed
        mode = config.option.scf_async_trace or _ON_FAILURE
        if not (failed and mode == _ON_FAILURE) and not (mode == "on" and (failed or reported.call.when == "call")):
            return
        others = reported.traced()
        if reported.events or others:
            from .of_test import write_trace  # noqa: PLC0415

            write_trace(reported, others)

    def summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Write GitHub's job summary, where there is one and a test that failed has a trace."""
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary and not hasattr(config, "workerinput"):  # a worker has a terminal reporter, too
            wrong = [*terminalreporter.stats.get("failed", ()), *terminalreporter.stats.get("error", ())]
            if any(hasattr(report, "scf_async_trace") for report in wrong):
                from .of_test import write_summary  # noqa: PLC0415

                write_summary(summary, wrong, os.fspath(config.rootpath))
