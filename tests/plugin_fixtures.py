"""The fixtures of plugin tests: a pytest project with handlers, run in this process or in one of its own."""

from __future__ import annotations

import os
import signal
import site
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import metadata

import pytest
from _pytest import pytester as pytester_module
from internals import zygote_of
from plugin_support import PLAIN_OPTIONS

import pytest_scf_async
from pytest_scf_async.plugin.plugin import _configured as configured

INSTALLED = tuple({os.path.dirname(os.__file__), *site.getsitepackages(), *pytest_scf_async.__path__})
"""Directories of modules that are no test's own."""

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


class Modules(pytester_module.SysModulesSnapshot):
    """What is imported when a pytest in this process begins, and at its end what is installed, too.

    It would forget what it was the first to import, and later tests import that again, beside what others still have of
    the first import: code in C can be loaded once, an ``except`` misses the class of the other module, and instances
    trust the first authority of the endpoint's certificates alone.
    """

    def __init__(self, preserve: Callable[[str], bool] | None = None) -> None:
        super().__init__(lambda name: is_installed(name) or (preserve is not None and preserve(name)))


def is_installed(name: str) -> bool:
    file = getattr(sys.modules[name], "__file__", None)
    return isinstance(file, str) and file.startswith(INSTALLED)


@pytest.fixture(scope="session", autouse=True)
def kept_modules() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytester_module, "SysModulesSnapshot", Modules)
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
