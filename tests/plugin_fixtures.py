"""The fixtures of plugin tests: a pytest project with handlers, run in this process or in one of its own."""

from __future__ import annotations

import signal
import textwrap
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec

import pytest
from internals import zygote_of
from plugin_support import PLAIN_OPTIONS

from pytest_scf_async.plugin.plugin import _configured as configured

if find_spec("trustme") and find_spec("pytest_scf_async.endpoint"):  # environments of marked tests only have no trustme
    # A pytest within this process forgets at its end what it was the first to import, and code in C can be loaded once:
    # after test_docs.py no endpoint of this process would have certificates. Its instances trust the first authority
    # of its certificates, whose files its zygote keeps: there has to be one for all sessions in this process.
    import pytest_scf_async.endpoint.certificates  # noqa: F401

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


class Installed:
    """A distribution that caches its attributes: what was read of it once is not read from the disk again."""

    def __init__(self, distribution: metadata.Distribution) -> None:
        self._distribution = distribution

    def __getattr__(self, name: str) -> object:
        value = self.__dict__[name] = getattr(self._distribution, name)
        return value


@pytest.fixture(scope="session", autouse=True)
def known_distributions() -> Iterator[None]:
    """Each pytest in this process, and in its forks, reads all files of all that is installed: once."""
    known = [Installed(each) for each in metadata.distributions()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "distributions", lambda: iter(known))
        yield


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what the parent of pytest has set: CI makes summaries longer, and has one of its own for a whole job; a job
    in the background ignores SIGINT."""
    for name in ("CI", "BUILD_NUMBER", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def chosen_sandbox(pytestconfig: pytest.Config, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> str:
    """The sandbox that the whole suite is run with; pytest inside a test gets it too, and the clock of instances."""
    chosen = pytestconfig.getoption("scf_async_sandbox")
    clock = pytestconfig.getini("scf_async_clock")
    given = "" if chosen is None else f" --scf-async-sandbox={chosen}"
    given += f" -oscf_async_clock={clock}" if clock else ""
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS + given)  # pytester has removed it
    return chosen or "auto"


@pytest.fixture
def project(pytester: pytest.Pytester, pytestconfig: pytest.Config, chosen_sandbox: str) -> pytest.Pytester:
    """A project with the handlers echo, raises and sleeps, in which every warning is an error."""
    zygote_of(configured(pytestconfig))  # runs in this process use it, and leave it
    # Those plugins have tests of their own, in test_beside_*.py.
    pytester.makeini(
        f"[pytest]\nfilterwarnings = error\naddopts = --strict-markers -p no:cacheprovider {PLAIN_OPTIONS}"
    )
    handlers = pytester.mkdir("handlers")
    for name, source in (("echo", ECHO), ("raises", RAISES), ("sleeps", SLEEPS)):
        handlers.joinpath(f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    return pytester
