"""`event.log` as a sequence of lines."""

from __future__ import annotations

import pytest

from pytest_scf_async import ScfUsageError

# once: the test's side: the same on all Pythons
pytestmark = pytest.mark.once


def test_a_line_is_in_the_log_and_a_text_is_refused_as_it_never_would_be(deploy):
    event = deploy("def main_handler(event, context): print('row 1')").invoke_async().wait()

    assert event.log[0] in event.log
    assert event.log[0] not in event.log[1:]
    with pytest.raises(ScfUsageError, match=r"^'row 1' in event\.log is not valid: .*assert_logged\(event, 'row 1'\)"):
        "row 1" not in event.log  # noqa: B015
    assert "row 1" in str(event.log)
