"""The option ``--scf-async-trace``."""

from __future__ import annotations

from typing import Final

import pytest

TRACED: Final = ("off", "retain-on-failure", "on")
"""What it may be."""


def resolve(config: pytest.Config) -> None:
    """Have the option say which tests get a trace, on workers of xdist too; ``pytest.UsageError`` for another word."""
    given, source = config.option.scf_async_trace, "command line"
    if given is None:
        given, source = config.getini("scf_async_trace") or None, "ini"
    if given is None:
        return
    if given not in TRACED:
        valid = f"{', '.join(map(repr, TRACED[:-1]))} or {TRACED[-1]!r}"
        raise pytest.UsageError(f"scf_async_trace={given!r} ({source}) is not valid: it must be {valid}")
    config.option.scf_async_trace = given
