"""Where an alias sends an invocation: to its version, or to an additional one (document 36149, traffic routing).

An alias has one additional version at most, by weight or by a rule. A rule reads the RoutingKey of the invocation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ...model.listing import is_text
from .error_texts import api_error

KEY_PREFIX: Final = "invoke.headers."
_RANGE: Final = re.compile(r"\s*([\[(])\s*(-?\d{1,18})\s*,\s*(-?\d{1,18})\s*([\])])\s*")
_NUMBER: Final = re.compile(r"-?\d{1,18}")


@dataclass(frozen=True)
class VersionWeight:
    """An additional version and its part of the invocations, from 0 to 1."""

    version: str
    weight: float


@dataclass(frozen=True)
class VersionMatch:
    """An additional version, and the rule for invocations that run it.

    *key* is ``"invoke.headers.User"``, which reads ``User`` of the RoutingKey. *method* ``"exact"`` takes one text,
    *expression*; ``"range"`` the whole numbers of ``"[1,50]"``, or between the ends of ``"(0,51)"``.
    """

    version: str
    key: str
    method: str
    expression: str


@dataclass(frozen=True)
class RoutingConfig:
    """The additional version of an alias, by weight or by rule; with neither there is none."""

    additional_version_weights: tuple[VersionWeight, ...] = ()
    addtion_version_matchs: tuple[VersionMatch, ...] = ()
    """The platform's spelling."""

    @property
    def versions(self) -> tuple[str, ...]:
        """The additional versions."""
        weights = [each.version for each in self.additional_version_weights]
        return (*weights, *(each.version for each in self.addtion_version_matchs))


NO_ROUTING: Final = RoutingConfig()


def check_routing(routing: RoutingConfig, version: str, check_version: Callable[[object], object]) -> None:
    """Raise ScfApiError for what cannot be the routing of an alias of *version*.

    ``InvalidParameterValue.RoutingConfig``, ``InvalidParameterValue.AdditionalVersionWeights``, and what
    *check_version* raises for a version that is not there.
    """
    if not _is_routing(routing):
        raise api_error(_CONFIG, value=routing, valid="it must be a RoutingConfig")
    additional = routing.versions
    if len(additional) > 1:
        raise api_error(_CONFIG, value=additional, valid="it must have one additional version, by weight or by a rule")
    for each in additional:
        check_version(each)
        if each == version:
            raise api_error(_CONFIG, value=each, valid="the additional version is another one than the alias's")
    for weighted in routing.additional_version_weights:
        if not _is_weight(weighted.weight):
            code = "InvalidParameterValue.AdditionalVersionWeights"
            raise api_error(code, value=weighted.weight, valid="a weight is a number from 0 to 1")
    for rule in routing.addtion_version_matchs:
        if not is_text(rule.key) or not rule.key.startswith(KEY_PREFIX) or rule.key == KEY_PREFIX:
            raise api_error(_CONFIG, value=rule.key, valid="the key of a rule is of the form invoke.headers.User")
        if rule.method not in ("exact", "range"):
            raise api_error(_CONFIG, value=rule.method, valid="the method of a rule is exact or range")
        if not is_text(rule.expression) or (rule.method == "range" and _RANGE.fullmatch(rule.expression) is None):
            raise api_error(_CONFIG, value=rule.expression, valid="the expression of a range is [a,b] or (a,b)")


def routed(version: str, routing: RoutingConfig, draw: float, key: Mapping[str, str] | None) -> str:
    """The version that an invocation runs: *version*, or the additional one of *routing*.

    *draw* is a number from 0 to 1, 1 excluded, that the weight is compared with; *key* the pairs of the RoutingKey.
    """
    for weighted in routing.additional_version_weights:
        if draw < weighted.weight:
            return weighted.version
    for rule in routing.addtion_version_matchs:
        value = (key or {}).get(rule.key[len(KEY_PREFIX) :])
        if value is not None and _matches(rule, value):
            return rule.version
    return version


def _matches(rule: VersionMatch, value: str) -> bool:
    if rule.method == "exact":
        return value == rule.expression
    found = _RANGE.fullmatch(rule.expression)
    if found is None or _NUMBER.fullmatch(value) is None:
        return False
    opening, low, high, closing = found.groups()
    least, most = int(low) + (opening == "("), int(high) - (closing == ")")
    return least <= int(value) <= most


_CONFIG: Final = "InvalidParameterValue.RoutingConfig"


def _is_weight(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _is_routing(value: object) -> bool:
    return isinstance(value, RoutingConfig)
