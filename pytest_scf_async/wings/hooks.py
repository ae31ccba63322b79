"""What wings do in a session of pytest; imported where a runtime is made, or an option of a wing is given.

Only the sweep has a state of its own in a session. The others are imported where there is something for them to do.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from ..sweep.hooks import SweepHooks
from ..wing_hooks import Reported, WingHooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tencentcloud.scf.v20180416.scf_client import ScfClient as ScfClient  # noqa: PLC0414  (the plugin imports it)

    from ..endpoint.scf_endpoint import ScfEndpoint as ScfEndpoint  # noqa: PLC0414
    from ..runtime import ScfRuntime

_ON_FAILURE: Final = "retain-on-failure"


class _EndpointHooks(WingHooks):
    """The endpoint, whose fixtures are below."""

    def causes(self, item: pytest.Item) -> list[tuple[str, str]]:
        endpoint: ScfEndpoint | None = getattr(item, "funcargs", {}).get("scf_endpoint")
        why = "" if endpoint is None else endpoint._site.endpoint.polls.why_unended()
        return [("scf async: likely cause", why)] if why else []


class _TraceHooks(WingHooks):
    """The writer of traces."""

    def configure(self, config: pytest.Config) -> None:
        from ..trace.option import resolve

        resolve(config)

    def reported(self, reported: Reported) -> None:
        """Write the trace of a test that has events or sweeps, where one is wanted."""
        config, failed = reported.item.config, reported.report.failed
        mode = config.option.scf_async_trace or _ON_FAILURE
        if not (failed and mode == _ON_FAILURE) and not (mode == "on" and (failed or reported.call.when == "call")):
            return
        sweeps = [traced for wing in HOOKS for traced in wing.traced(config)]
        if reported.events or sweeps:
            from ..trace.of_test import write_trace

            write_trace(reported, sweeps)

    def summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Write GitHub's job summary, where there is one and a test that failed has a trace."""
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary and not hasattr(config, "workerinput"):  # a worker has a terminal reporter, too
            wrong = [*terminalreporter.stats.get("failed", ()), *terminalreporter.stats.get("error", ())]
            if any(hasattr(report, "scf_async_trace") for report in wrong):
                from ..trace.of_test import write_summary

                write_summary(summary, wrong, os.fspath(config.rootpath))


HOOKS: Final[tuple[WingHooks, ...]] = (_TraceHooks(), SweepHooks(), _EndpointHooks())
"""In the order in which the plugin asks them."""


# -- fixtures --------------------------------------------------------------------------------------------------------


def scf_endpoint(runtime: ScfRuntime, passed: Callable[[], bool]) -> Iterator[ScfEndpoint]:
    """What the fixture does; *passed* says whether the test has."""
    from ..endpoint.of_test import endpoint_of

    return endpoint_of(runtime, passed)


def scf_client(endpoint: ScfEndpoint, test: str) -> ScfClient:
    """What the fixture does."""
    from ..endpoint.of_test import client_of

    return client_of(endpoint, test)
