"""A call that is interrupted leaves nothing set: its runtime goes on, or closes, and no descriptor or process stays."""

from __future__ import annotations

import pytest
from internals import Poller, lockstep_of

from pytest_scf_async.runtime import ScfRuntime

# once: the test's side of a call, the same on all Pythons
pytestmark = pytest.mark.once

SLEEPS = """
    import time
    def main_handler(event, context):
        time.sleep(60)
        return time.time() - 1767225600
"""


def test_an_error_while_it_looks_for_children_leaves_no_driver(
    deploy, runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no property would receive any more, and calls of other threads would wait for this one."""
    event = deploy(SLEEPS).invoke_async()

    def fails(*_: object) -> None:
        raise OSError("no descriptor is left")

    with monkeypatch.context() as patch:
        patch.setattr(Poller, "await_ends", fails)
        with pytest.raises(OSError, match="no descriptor is left"):
            event.wait()

    assert lockstep_of(runtime)._driver is None
    assert event.wait().result == 60
