"""Aliases with an additional version: by weight, or by a rule about the RoutingKey."""

from __future__ import annotations

import math

import pytest
from versions_support import refusal, two_versions

from pytest_scf_async.endpoint.operations.aliases import Aliases
from pytest_scf_async.endpoint.operations.routing import RoutingConfig, VersionMatch, VersionWeight
from pytest_scf_async.errors import ScfApiError
from pytest_scf_async.model.versions import DEFAULT_ALIAS, LATEST, Versions

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once


@pytest.fixture
def versions() -> Versions[str]:
    return two_versions()


@pytest.fixture
def aliases(versions) -> Aliases:
    return Aliases(versions, 0, lambda: 0.0)


def weighted(version: object, weight: object) -> RoutingConfig:
    return RoutingConfig(additional_version_weights=(VersionWeight(version, weight),))


def ruled(version="2", key="invoke.headers.User", method="exact", expression="Bob") -> RoutingConfig:
    return RoutingConfig(addtion_version_matchs=(VersionMatch(version, key, method, expression),))


def refused(aliases, routing: RoutingConfig) -> str:
    code = refusal(lambda: aliases.create("live", "1", routing=routing))
    assert aliases.versions == {DEFAULT_ALIAS: LATEST}
    return code


@pytest.mark.parametrize(
    ("weight", "draw", "version"),
    [
        (0.25, 0.0, "two"),
        (0.25, 0.249, "two"),
        (0.25, 0.25, "one"),
        (0, 0.0, "one"),
        (1, 0.999, "two"),
        (1, 1.0, "one"),
    ],
)
def test_a_weight_is_compared_with_what_was_drawn(versions, weight, draw, version):
    Aliases(versions, 0, lambda: draw).create("live", "1", routing=weighted("2", weight))
    assert versions.route("live")() == version
    assert versions.resolve("live") == "one"  # nothing was drawn


def test_only_a_weight_is_drawn(versions):
    drawn = iter([0.25])
    aliases = Aliases(versions, 0, lambda: next(drawn))
    aliases.create("live", "1", routing=weighted("2", 0.5))
    aliases.create("rule", "1", routing=ruled())
    of_others = [versions.route(each) for each in ("rule", DEFAULT_ALIAS, "1", LATEST, None, "none", ["live"])]
    route = versions.route("live")  # the only number is drawn here, and once
    assert [route(), route(), *(each() for each in of_others[:5])] == ["two", "two", "one", "new", "one", "new", "new"]


@pytest.mark.parametrize(
    ("key", "version"),
    [({"User": "Bob"}, "two"), ({"User": "bob"}, "one"), ({"user": "Bob"}, "one"), ({}, "one"), (None, "one")],
)
def test_an_exact_rule(versions, aliases, key, version):
    aliases.create("live", "1", routing=ruled())
    assert versions.route("live", key)() == version


@pytest.mark.parametrize(
    ("expression", "inside", "outside"),
    [
        ("[1,50]", ["1", "30", "50"], ["0", "51", "-1", "x", "1.5", ""]),
        ("(1,50)", ["2", "49"], ["1", "50"]),
        (" [ -3 , 3 ) ", ["-3", "0", "2"], ["3", "-4"]),
    ],
)
def test_a_rule_with_a_range(versions, aliases, expression, inside, outside):
    aliases.create("live", "1", routing=ruled(key="invoke.headers.hash", method="range", expression=expression))
    assert {versions.route("live", {"hash": each})() for each in inside} == {"two"}
    assert {versions.route("live", {"hash": each})() for each in outside} == {"one"}


@pytest.mark.parametrize(
    ("routing", "code"),
    [
        *((weighted("2", weight), "AdditionalVersionWeights") for weight in (-0.1, 1.1, math.nan, "0.5", True, None)),
        (weighted("1", 0.5), "RoutingConfig"),
        (RoutingConfig((VersionWeight("2", 0.1), VersionWeight(LATEST, 0.1))), "RoutingConfig"),
        (RoutingConfig((VersionWeight("2", 0.1),), ruled().addtion_version_matchs), "RoutingConfig"),
        (ruled(key="headers.User"), "RoutingConfig"),
        (ruled(key="invoke.headers."), "RoutingConfig"),
        (ruled(key=None), "RoutingConfig"),
        (ruled(method="prefix"), "RoutingConfig"),
        (ruled(expression=3), "RoutingConfig"),
        (ruled(method="range", expression="1-50"), "RoutingConfig"),
        (ruled(method="range", expression="[1,x]"), "RoutingConfig"),
    ],
)
def test_what_can_be_no_routing(aliases, routing, code):
    assert refused(aliases, routing) == f"InvalidParameterValue.{code}"


@pytest.mark.parametrize("version", ["3", "prod", None, 2])
def test_an_additional_version_has_to_be_there(aliases, version):
    assert refused(aliases, weighted(version, 0.5)) == "ResourceNotFound.FunctionVersion"


def test_an_additional_version_cannot_be_deleted(versions, aliases):
    aliases.create("live", "1", routing=weighted("2", 0.5))
    with pytest.raises(ScfApiError, match="the alias live points to it") as refusal:
        versions.remove("2")
    assert refusal.value.code == "UnsupportedOperation.AliasBind"
    aliases.update("live", "1")
    assert versions.remove("2") == "two"


def test_the_aliases_of_a_version(aliases):
    aliases.create("live", "1", routing=weighted("2", 0.5))
    aliases.create("next", "2")
    names = {each: [alias.name for alias in aliases.all(each)] for each in (None, "1", "2", LATEST, "7")}
    assert names == {
        None: [DEFAULT_ALIAS, "live", "next"],
        "1": ["live"],
        "2": ["live", "next"],
        LATEST: [DEFAULT_ALIAS],
        "7": [],
    }


def test_an_update_keeps_the_description_and_the_time_of_its_making(aliases):
    aliases.create("live", "1", description="before", now_us=5)
    aliases.update("live", "2", now_us=7)
    alias = aliases.get("live")
    assert (alias.version, alias.description, alias.added_us, alias.modified_us) == ("2", "before", 5, 7)
    aliases.update("live", "2", description="after", now_us=9)
    assert aliases.get("live").description == "after"


@pytest.mark.parametrize("description", ["x" * 1001, None, 3])
def test_what_can_be_no_description(aliases, description):
    with pytest.raises(ScfApiError) as refusal:
        aliases.create("live", "1", description=description)
    assert refusal.value.code == "InvalidParameterValue.Description"
