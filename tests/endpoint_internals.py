"""What the tests of the endpoint use of what is private in it."""

from __future__ import annotations

from collections.abc import Callable

from pytest_scf_async import ScfEndpoint, ScfRuntime
from pytest_scf_async.endpoint.served_answers import ServedAnswers  # noqa: F401  (tests import it from here)


def allow_reset(
    endpoint: ScfEndpoint, new_runtime: Callable[[], ScfRuntime], end: Callable[[ScfRuntime], None]
) -> None:
    """Let ``/_scf/reset`` replace the runtime of an endpoint, as ``serve`` does."""
    endpoint._allow_reset(new_runtime, end)
