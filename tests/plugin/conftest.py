"""The fixtures of plugin tests, and the catalogue of failures."""

from __future__ import annotations

from catalogue_support import catalogue  # noqa: F401
from plugin_fixtures import chosen_sandbox, kept_modules, known_distributions, plain_surroundings, project  # noqa: F401

collect_ignore = ["typed_project"]  # a project of its own, which test_typed_project.py runs
