"""What the command line, the ini file and the fixture ``scf_settings`` say, as settings that remember their source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import pytest

from ..errors import ScfUsageError
from ..options import ScfSettings, TextSource, option_named

FIXTURE_SOURCE: Final = "scf_settings"


def settings_of(given: Mapping[str, tuple[str, str]]) -> ScfSettings:
    """The settings of the options *given*: texts, each with its source; ``pytest.UsageError`` for what is not valid."""
    settings = ScfSettings()
    try:
        for name, (text, source) in given.items():
            settings = settings.replace(TextSource(source), **{name: option_named(name).rule.read(text)})
    except ScfUsageError as error:
        raise pytest.UsageError(str(error)) from None
    return settings


def with_fixture(configured: ScfSettings, given: object, nodeid: str) -> ScfSettings:
    """What the fixture ``scf_settings`` gave, on top of the command line and the ini file."""
    if not isinstance(given, ScfSettings):
        raise pytest.UsageError(
            f"{nodeid}: the fixture scf_settings returned a value of type {type(given).__name__}; it must return "
            "ScfSettings(...)"
        )
    return given.on_top_of(configured, FIXTURE_SOURCE)


def shown(settings: ScfSettings) -> Iterable[tuple[str, object]]:
    """The settings that are no defaults, for the report's header."""
    for name, value in settings.changed().items():
        yield name, f"{value:g}" if isinstance(value, float) else value
