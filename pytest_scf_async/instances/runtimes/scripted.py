"""Scripted functions: a script says what an event does, and there is no instance."""

# ruff: noqa: ARG002  (as in `strategy`)

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from ...errors import HarnessError, ScfUsageError, hidden_from_users
from ...model.before_init import BeforeInit
from ...options import Where, options_of
from ...scripted import Script, Scripts
from .strategy import Runtime, Site

__tracebackhide__ = hidden_from_users


@dataclass(frozen=True, eq=False)
class Scripted(Runtime):
    """A function without code."""

    scripts: Scripts

    runs_code = False
    has_places = False
    has_listeners = False

    @property
    def name(self) -> str:
        return "a script"

    @property
    def instead_of_places(self) -> str:
        return "give the script a step logged('here'), and use wait_for_log('here')"

    def script_for(self, payload: str, index: int, function: str) -> Script:
        return self.scripts.script_for(payload, index, function)

    def check_before_init(self, before_init: BeforeInit, source: str) -> None:
        self._has_no_code("before_init", source)

    def check_keywords(self, names: Iterable[str], source: str) -> None:
        valid = {option.name for option in options_of(Where.SCRIPTED)}
        for name in names:
            if name not in valid:
                self._has_no_code(name, source)

    def check_new_code(self, name: str) -> None:
        raise ScfUsageError(
            f"update(...) changes code, and {name!r} is a scripted function, which has none: delete() it and call "
            "deploy_scripted() again"
        )

    @staticmethod
    def _has_no_code(name: str, source: str) -> NoReturn:
        known = ", ".join(option.name for option in options_of(Where.SCRIPTED) if Where.UPDATE in option.where)
        raise ScfUsageError(
            f"{name} ({source}) is for functions with code, and this one is scripted: valid are {known}"
        )

    def environment(self, site: Site, of_sandbox: Mapping[str, str]) -> dict[str, str]:
        raise HarnessError(f"{site.configuration.name!r} is a scripted function, which has no instances")
