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
