from __future__ import annotations

import pytest

from pytest_scf_async.errors import ScfApiError
from pytest_scf_async.model.versions import DEFAULT_ALIAS, LATEST, Versions


@pytest.fixture
def versions() -> Versions[str]:
    """Two published versions, "one" and "two", of a function whose ``$LATEST`` is "new"."""
    made = Versions("export", "new")
    made.publish(lambda _: "one")
    made.publish(lambda _: "two")
    return made


def code_of(refused) -> str:
    with pytest.raises(ScfApiError) as caught:
        refused()
    return caught.value.code


def test_versions_are_numbered_from_one_and_listed_newest_first(versions):
    assert versions.publish(lambda number: f"made as {number}") == "3"
    assert versions.numbers == [LATEST, "3", "2", "1"]
    assert versions.resolve("3") == "made as 3"
    assert (versions.published, versions.all) == (["one", "two", "made as 3"], ["new", "one", "two", "made as 3"])


def test_a_version_that_cannot_be_made_takes_no_number(versions):
    with pytest.raises(ZeroDivisionError):
        versions.publish(lambda _: str(1 // 0))
    assert versions.publish(lambda _: "three") == "3"


def test_a_number_is_not_used_again(versions):
    assert versions.remove("2") == "two"
    assert versions.publish(lambda _: "three") == "3"
    assert versions.numbers == [LATEST, "3", "1"]


@pytest.mark.parametrize(
    ("qualifier", "version"), [(None, "new"), (LATEST, "new"), (DEFAULT_ALIAS, "new"), ("1", "one"), ("2", "two")]
)
def test_a_qualifier_names_a_version(versions, qualifier, version):
    assert versions.resolve(qualifier) == version


def test_latest_is_what_it_is_now(versions):
    versions.replace_latest("newer")
    assert [versions.resolve(qualifier) for qualifier in (None, LATEST, DEFAULT_ALIAS, "1")] == [
        "newer", "newer", "newer", "one",
    ]  # fmt: skip


@pytest.mark.parametrize("qualifier", ["3", "0", "01", "prod", "$latest", "", 1, ["1"], b"1"])
def test_anything_else_is_no_qualifier(versions, qualifier):
    assert code_of(lambda: versions.resolve(qualifier)) == "ResourceNotFound.Qualifier"
    assert code_of(lambda: versions.resolve(qualifier, "ResourceNotFound.Version")) == "ResourceNotFound.Version"
    with pytest.raises(ScfApiError, match="Function 'export' has no version or alias"):
        versions.resolve(qualifier)


def test_an_alias_points_to_a_version_and_can_be_moved_and_deleted(versions):
    versions.create_alias("prod", "1")
    assert (versions.aliases, versions.resolve("prod")) == ({DEFAULT_ALIAS: LATEST, "prod": "1"}, "one")
    versions.update_alias("prod", "2")
    assert versions.resolve("prod") == "two"
    versions.update_alias("prod", LATEST)
    assert versions.resolve("prod") == "new"
    versions.delete_alias("prod")
    assert versions.aliases == {DEFAULT_ALIAS: LATEST}
    assert code_of(lambda: versions.resolve("prod")) == "ResourceNotFound.Qualifier"


def test_the_default_alias_can_be_moved_and_nothing_else(versions):
    versions.update_alias(DEFAULT_ALIAS, "1")
    assert (versions.resolve(DEFAULT_ALIAS), versions.resolve(None)) == ("one", "new")
    assert code_of(lambda: versions.delete_alias(DEFAULT_ALIAS)) == "FailedOperation.DeleteAlias"
    assert code_of(lambda: versions.create_alias(DEFAULT_ALIAS, "1")) == "ResourceInUse.Alias"


@pytest.mark.parametrize("name", ["a", "A-b_9", "a" * 64])
def test_a_valid_name_of_an_alias_is_taken(versions, name):
    versions.create_alias(name, "1")
    assert versions.resolve(name) == "one"


@pytest.mark.parametrize("name", ["", "1", "1a", "-a", "$PROD", LATEST, "a b", "a\n", "a" * 65, "正式", None, 7, ["a"]])
def test_an_invalid_name_of_an_alias_is_refused_with_the_rule(versions, name):
    with pytest.raises(ScfApiError, match="it must have 1 to 64 letters") as refusal:
        versions.create_alias(name, "1")
    assert refusal.value.code == "InvalidParameterValue.Name"


def test_what_is_wrong_with_an_alias_has_the_platforms_codes(versions):
    versions.create_alias("prod", "1")
    assert code_of(lambda: versions.create_alias("prod", "2")) == "ResourceInUse.Alias"
    for version in ("3", "prod", None, 1, DEFAULT_ALIAS):
        assert code_of(lambda version=version: versions.create_alias("next", version)) == (
            "ResourceNotFound.FunctionVersion"
        )
        assert code_of(lambda version=version: versions.update_alias("prod", version)) == (
            "ResourceNotFound.FunctionVersion"
        )
    for name in ("next", None, ["prod"]):
        assert code_of(lambda name=name: versions.update_alias(name, "1")) == "ResourceNotFound.Alias"
        assert code_of(lambda name=name: versions.delete_alias(name)) == "ResourceNotFound.Alias"
    assert versions.aliases == {DEFAULT_ALIAS: LATEST, "prod": "1"}


def test_a_version_that_an_alias_points_to_cannot_be_deleted(versions):
    versions.create_alias("prod", "1")
    versions.update_alias(DEFAULT_ALIAS, "1")
    with pytest.raises(ScfApiError, match=r"the alias \$DEFAULT, prod points to it") as refusal:
        versions.remove("1")
    assert refusal.value.code == "UnsupportedOperation.AliasBind"
    versions.update_alias(DEFAULT_ALIAS, LATEST)
    versions.delete_alias("prod")
    assert versions.remove("1") == "one"


def test_latest_and_what_is_no_version_cannot_be_deleted(versions):
    versions.create_alias("prod", "1")
    assert code_of(lambda: versions.remove(LATEST)) == "InvalidParameterValue.Qualifier"
    for number in ("3", "prod", DEFAULT_ALIAS, None, 1):
        assert code_of(lambda number=number: versions.remove(number)) == "ResourceNotFound.Qualifier"
    assert versions.numbers == [LATEST, "2", "1"]
