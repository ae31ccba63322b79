"""Tests of traces in which pytest runs: the fixtures are those of the plugin tests."""

from __future__ import annotations

from plugin_fixtures import chosen_sandbox, kept_modules, known_distributions, plain_surroundings, project  # noqa: F401
