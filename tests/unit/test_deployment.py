from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_scf_async.deployment import UNCHANGED, changed_configuration, first_configuration
from pytest_scf_async.errors import ScfUsageError
from pytest_scf_async.options import ScfSettings

SETTINGS = ScfSettings(timeout=60, environment={"REGION": "one", "BUCKET": "of the settings"})


def deployed(**given):
    named = {"name": "export", "handler": "index.main_handler"}
    return first_configuration(SETTINGS, {**named, **given}, "deploy(...)")


def updated(before, **given):
    return changed_configuration(SETTINGS, before, given, "update(...)")


def test_what_deploy_is_not_given_comes_from_the_settings():
    made = deployed(memory=256, init_timeout=None, max_instances=None)
    assert (made.timeout, made.memory, made.init_timeout, made.max_instances) == (60, 256, 65, None)
    assert made.environment == SETTINGS.environment
    sources = [made.sources.get(name) for name in ("timeout", "memory", "init_timeout", "max_instances", "trace")]
    assert sources == ["ScfSettings(...)", "deploy(...)", "default", None, "default"]


def test_variables_of_a_function_are_added_to_those_of_the_settings():
    made = deployed(environment={"BUCKET": "own"})
    assert made.environment == {"REGION": "one", "BUCKET": "own"}
    assert made.sources["environment"] == "deploy(...)"


def test_update_changes_what_it_is_given():
    before = deployed(memory=256, environment={"BUCKET": "own"})
    made = updated(before, timeout=timedelta(minutes=2), memory=UNCHANGED, environment=UNCHANGED)
    assert (made.timeout, made.memory, made.environment["BUCKET"]) == (120, 256, "own")
    assert [made.sources[name] for name in ("timeout", "memory")] == ["update(...)", "deploy(...)"]
    assert (before.timeout, before.sources["timeout"]) == (60, "ScfSettings(...)")


def test_none_takes_a_limit_away():
    before = deployed(memory=256, max_instances=3, environment={"OUT": "x"})
    made = updated(before, memory=None, max_instances=None, timeout=None, environment=None)
    assert (made.memory, made.max_instances, made.timeout) == (None, None, 86_400)
    assert made.environment == SETTINGS.environment


def test_variables_that_update_is_given_replace_those_of_deploy():
    made = updated(deployed(environment={"BUCKET": "own", "OUT": "x"}), environment={"NEW": "y"})
    assert made.environment == {**SETTINGS.environment, "NEW": "y"}


@pytest.mark.parametrize("name", ["init_timeout", "trace"])
def test_what_cannot_be_none_is_refused_with_its_source(name):
    with pytest.raises(ScfUsageError, match=rf"{name}=None \(update\(\.\.\.\)\) is not valid"):
        updated(deployed(), **{name: None})


def test_a_refusal_names_where_the_value_came_from():
    with pytest.raises(ScfUsageError, match=r"memory=100 \(update\(\.\.\.\)\) is not valid"):
        updated(deployed(), memory=100)
    with pytest.raises(ScfUsageError, match=r"memory=100 \(ScfSettings\(\.\.\.\)\) is not valid"):
        first_configuration(ScfSettings(memory=100), {"name": "export", "handler": "a.b"}, "deploy(...)")
