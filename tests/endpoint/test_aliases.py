"""The aliases of a function: what they point to, and what is refused."""

from __future__ import annotations

import pytest
from versions_support import refusal, two_versions

from pytest_scf_async.endpoint.operations.aliases import Aliases
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


def test_an_alias_points_to_a_version_and_can_be_moved_and_deleted(versions, aliases):
    aliases.create("prod", "1")
    assert (aliases.versions, versions.resolve("prod")) == ({DEFAULT_ALIAS: LATEST, "prod": "1"}, "one")
    aliases.update("prod", "2")
    assert versions.resolve("prod") == "two"
    aliases.update("prod", LATEST)
    assert versions.resolve("prod") == "new"
    aliases.delete("prod")
    assert aliases.versions == {DEFAULT_ALIAS: LATEST}
    assert refusal(lambda: versions.resolve("prod")) == "ResourceNotFound.Qualifier"


def test_the_default_alias_can_be_moved_and_nothing_else(versions, aliases):
    aliases.update(DEFAULT_ALIAS, "1")
    assert (versions.resolve(DEFAULT_ALIAS), versions.resolve(None)) == ("one", "new")
    assert refusal(lambda: aliases.delete(DEFAULT_ALIAS)) == "FailedOperation.DeleteAlias"
    assert refusal(lambda: aliases.create(DEFAULT_ALIAS, "1")) == "ResourceInUse.Alias"


@pytest.mark.parametrize("name", ["a", "A-b_9", "a" * 64])
def test_a_valid_name_of_an_alias_is_taken(versions, aliases, name):
    aliases.create(name, "1")
    assert versions.resolve(name) == "one"


@pytest.mark.parametrize("name", ["", "1", "1a", "-a", "$PROD", LATEST, "a b", "a\n", "a" * 65, "正式", None, 7, ["a"]])
def test_an_invalid_name_of_an_alias_is_refused_with_the_rule(aliases, name):
    with pytest.raises(ScfApiError, match="it must have 1 to 64 letters") as refusal:
        aliases.create(name, "1")
    assert refusal.value.code == "InvalidParameterValue.Name"


def test_what_is_wrong_with_an_alias_has_the_platforms_codes(aliases):
    aliases.create("prod", "1")
    assert refusal(lambda: aliases.create("prod", "2")) == "ResourceInUse.Alias"
    for version in ("3", "prod", None, 1, DEFAULT_ALIAS):
        assert refusal(lambda version=version: aliases.create("next", version)) == ("ResourceNotFound.FunctionVersion")
        assert refusal(lambda version=version: aliases.update("prod", version)) == ("ResourceNotFound.FunctionVersion")
    for name in ("next", None, ["prod"]):
        assert refusal(lambda name=name: aliases.update(name, "1")) == "ResourceNotFound.Alias"
        assert refusal(lambda name=name: aliases.delete(name)) == "ResourceNotFound.Alias"
    assert aliases.versions == {DEFAULT_ALIAS: LATEST, "prod": "1"}


def test_a_version_that_an_alias_points_to_cannot_be_deleted(versions, aliases):
    aliases.create("prod", "1")
    aliases.update(DEFAULT_ALIAS, "1")
    with pytest.raises(ScfApiError, match=r"the alias \$DEFAULT, prod points to it") as refusal:
        versions.remove("1")
    assert refusal.value.code == "UnsupportedOperation.AliasBind"
    aliases.update(DEFAULT_ALIAS, LATEST)
    aliases.delete("prod")
    assert versions.remove("1") == "one"


def test_latest_and_what_is_no_version_cannot_be_deleted(versions, aliases):
    aliases.create("prod", "1")
    assert refusal(lambda: versions.remove(LATEST)) == "InvalidParameterValue.Qualifier"
    for number in ("3", "prod", DEFAULT_ALIAS, None, 1):
        assert refusal(lambda number=number: versions.remove(number)) == "ResourceNotFound.Qualifier"
    assert versions.numbers == [LATEST, "2", "1"]
