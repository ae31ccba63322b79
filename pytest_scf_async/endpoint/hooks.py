"""The endpoint in a session of pytest; each session with a runtime imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from ..wing_hooks import WingHooks

if TYPE_CHECKING:
    from .scf_endpoint import ScfEndpoint

PASSED: Final = pytest.StashKey[bool]()
"""Whether the call of the test has passed."""


class EndpointHooks(WingHooks):
    """The endpoint of a test."""

    def called(self, item: pytest.Item, report: pytest.TestReport) -> None:
        item.stash[PASSED] = report.passed

    def causes(self, item: pytest.Item) -> list[tuple[str, str]]:
        endpoint: ScfEndpoint | None = getattr(item, "funcargs", {}).get("scf_endpoint")
        why = "" if endpoint is None else endpoint._site.endpoint.polls.why_unended()
        return [("scf async: likely cause", why)] if why else []
