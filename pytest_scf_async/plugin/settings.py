"""What the command line, the ini file and the fixture ``scf_settings`` say, as settings that remember their source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import pytest

from ..errors import ScfUsageError
from ..options import CONSTRUCTOR_SOURCE, ScfSettings

FIXTURE_SOURCE: Final = "scf_settings"

_WHOLE_NUMBERS: Final = ("clock_reads_before_wait", "status_reads_limit", "memory")
_TEXTS: Final = (
    "sandbox",
    "network",
    "preload",
    "graceful_return_status",
    "graceful_exit_status",
    "unlistened_signal_line",
)
_SWITCHES: Final = ("leases", "patched", "terminate_without_trace")
_SWITCH_WORDS: Final = {"true": True, "false": False}


def settings_of(given: Mapping[str, tuple[str, str]]) -> ScfSettings:
    """The settings of the options *given*: texts, each with its source; ``pytest.UsageError`` for what is not valid."""
    settings = ScfSettings()
    try:
        for name, (text, source) in given.items():
            settings = settings.replace(source, **{name: _value(name, text, source)})
    except ScfUsageError as error:
        raise pytest.UsageError(str(error)) from None
    return settings


def with_fixture(configured: ScfSettings, given: object, nodeid: str) -> ScfSettings:
    """What the fixture ``scf_settings`` gave, on top of the command line and the ini file."""
    if not isinstance(given, ScfSettings):
        raise pytest.UsageError(
            f"{nodeid}: the fixture scf_settings gave a value of type {type(given).__name__}; "
            "it returns ScfSettings(...)"
        )
    for name, value in given.changed().items():
        source = given.source(name)
        configured = configured.replace(FIXTURE_SOURCE if source == CONSTRUCTOR_SOURCE else source, **{name: value})
    return configured


def shown(settings: ScfSettings) -> Iterable[tuple[str, object]]:
    """The settings that are no defaults, for the report's header."""
    for name, value in settings.changed().items():
        yield name, f"{value:g}" if isinstance(value, float) else value


def _value(name: str, text: str, source: str) -> object:
    """What *text* says; a text that says nothing of the kind is given on, and the settings refuse it."""
    if name == "start":
        return _time(text, source)
    if name in _TEXTS:
        return text
    if name in _SWITCHES:
        return _SWITCH_WORDS.get(text.lower(), text)
    try:
        return int(text) if name in _WHOLE_NUMBERS else float(text)
    except ValueError:
        return text


def _time(text: str, source: str) -> object:
    try:
        when = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)
    except ValueError:
        when = None
    if when is None or when.utcoffset() is None:
        raise pytest.UsageError(
            f"start={text!r} ({source}) is not valid: it is a time with its zone, as in 2026-01-01T00:00:00+00:00"
        )
    return when
