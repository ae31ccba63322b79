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


# -- MemUsage --------------------------------------------------------------------------------------------------------


def mem_usage(event) -> float:
    """The memory in the last line of the log, in MB."""
    return float(event.log[-1].text.rpartition("MemUsage:")[2].removesuffix("MB"))


USES_LITTLE = {
    "a handler": "def main_handler(event, context): pass",
    "a handler that fails": "def main_handler(event, context): raise ValueError('x')",
    "a module that fails": "raise ValueError('early')\ndef main_handler(event, context): pass",
    "a timeout": "import time\ndef main_handler(event, context): time.sleep(1e5)",
}


@pytest.mark.parametrize("name", USES_LITTLE)
def test_mem_usage_is_at_least_what_a_bare_runtime_has(deploy, name):
    """13 MB and more in all logs of the platform that were published."""
    event = deploy(USES_LITTLE[name]).invoke_async().wait()

    assert mem_usage(event) == 13
    (init,) = (line.text for line in event.log if line.text.startswith("Init Report"))
    assert init.endswith(" MemUsage: 13.00MB")


def test_mem_usage_is_no_less_where_no_code_has_run(deploy):
    event = deploy(USES_LITTLE["a timeout"]).invoke_async()
    event.terminate()

    assert mem_usage(event) == 13


def test_mem_usage_is_what_a_handler_uses_where_that_is_more(deploy):
    function = deploy("def main_handler(event, context): bytearray(b'x') * (event << 20)")
    for megabytes in (60, 40):  # the instance is warm, and its peak stays
        assert 60 <= mem_usage(function.invoke_async(megabytes).wait()) < 75
