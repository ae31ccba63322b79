"""The runtimes that fixtures give; those of ``scf_runtime_factory`` live longer than a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Final

import pytest

from ..errors import ScfUsageError, UnsupportedPlatformError
from ..options import ScfSettings
from ..runtime import ScfRuntime

NAME: Final = "scf_runtime_factory"


def new_runtime(test: pytest.Item, settings: ScfSettings, seed: str, fixture: str) -> ScfRuntime:
    """A runtime that the *fixture* gives, as *test* asks for it."""
    try:
        return ScfRuntime(settings, seed=seed)
    except UnsupportedPlatformError as error:
        raise pytest.UsageError(f"{test.nodeid} uses {fixture}, and {error}") from None


class RuntimesOfSession:
    """Makes runtimes, and closes at the end of the session those that nobody has closed."""

    def __init__(self, configured: ScfSettings, running_test: Callable[[], pytest.Item]) -> None:
        self._configured = configured
        self._running_test = running_test
        self._made: list[ScfRuntime] = []
        self._numbers: Counter[str] = Counter()

    def __call__(self, settings: ScfSettings | None = None, *, start: datetime | None = None) -> ScfRuntime:
        """A runtime for the test that runs and those after it; code is looked up beside the file of the former."""
        test = self._running_test()
        resolved = self._resolved(settings, start, test)
        module = test.nodeid.partition("::")[0]
        self._numbers[module] += 1
        runtime = new_runtime(test, resolved, f"{module} {self._numbers[module]}", NAME)
        self._made = [made for made in self._made if not made._closed] + [runtime]
        return runtime

    def close(self) -> None:
        """Close what is still open, whatever closing one of them raises."""
        with ExitStack() as stack:
            for runtime in self._made:
                stack.callback(runtime.close)

    def _resolved(self, settings: ScfSettings | None, start: datetime | None, test: pytest.Item) -> ScfSettings:
        if settings is not None and not isinstance(settings, ScfSettings):
            raise pytest.UsageError(
                f"{test.nodeid}: {NAME}: settings is of type {type(settings).__name__}; it must be ScfSettings(...)"
            )
        resolved = self._configured
        try:
            if settings is not None:
                resolved = settings.on_top_of(resolved, f"{NAME}(settings=...)")
            if start is not None:
                resolved = resolved.replace(f"{NAME}(start=...)", start=start)
        except ScfUsageError as error:
            raise pytest.UsageError(f"{test.nodeid}: {NAME}: {error}") from None
        if resolved.patched:
            raise pytest.UsageError(
                f"{test.nodeid}: {NAME}: patched=True ({resolved.source('patched')}) is for a runtime of one test, as "
                "others run while this one is open: a test of it uses `with scf_clock.patched():`, and "
                f"{NAME}(ScfSettings(patched=False)) makes it"
            )
        return resolved
