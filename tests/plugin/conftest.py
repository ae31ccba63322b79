"""What the plugin tests share: a pytest project with handlers, run in this process or in one of its own."""

from __future__ import annotations

import textwrap

import pytest

from pytest_scf_async.instances.zygote import shared_zygote

ECHO = """
    def main_handler(event, context):
        print("got", event)
        return event
"""
RAISES = """
    def main_handler(event, context):
        print("about to fail")
        raise ValueError("boom")
"""
SLEEPS = """
    import time

    def main_handler(event, context):
        print("going to sleep")
        time.sleep(3600)
        return "slept"
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with the handlers echo, raises and sleeps, in which every warning is an error."""
    shared_zygote()  # runs in this process use it, and leave it
    # Hypothesis would be imported anew, for half a second, at the end of each run in this process.
    options = "--strict-markers -p no:cacheprovider -p no:hypothesispytest"
    pytester.makeini(f"[pytest]\nfilterwarnings = error\naddopts = {options}")
    handlers = pytester.mkdir("handlers")
    for name, source in (("echo", ECHO), ("raises", RAISES), ("sleeps", SLEEPS)):
        handlers.joinpath(f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    return pytester
