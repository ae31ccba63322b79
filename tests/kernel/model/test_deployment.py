from __future__ import annotations

import os
import sys
import threading
import time
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest

from pytest_scf_async import ScfRuntime
from pytest_scf_async import runtime as runtime_module
from pytest_scf_async.deployment import UNCHANGED, changed_configuration, first_configuration
from pytest_scf_async.errors import ScfUsageError
from pytest_scf_async.options import ScfSettings

SETTINGS = ScfSettings(timeout=60, environment={"REGION": "one", "BUCKET": "of the settings"})


NAMED = {"name": "export", "handler": "index.main_handler"}


def deployed(**given):
    return first_configuration(SETTINGS, {**NAMED, **given}, "deploy(...)")


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


@pytest.mark.parametrize(
    ("of_settings", "own", "named"),
    [
        ({"A": "x"}, {"OUT": "y"}, "the environment variable 'A' (ScfSettings(...)) is not valid: it has 2 to 64"),
        ({"A": "x"}, None, "the environment variable 'A' (ScfSettings(...)) is not valid: it has 2 to 64"),
        ({"OUT": "x"}, {"A": "y"}, "the environment variable 'A' (deploy(...)) is not valid: it has 2 to 64"),
        ({"SCF_A": "x"}, {"OUT": "y"}, "the environment variable 'SCF_A' (ScfSettings(...)) is not valid: the"),
        ({"AB": "x"}, {"OUT": "y" * 5_000}, "environment of 5,003 bytes (deploy(...)) is not valid"),
        ({"AB": "x" * 3_000}, {"OUT": "y" * 3_000}, "environment of 6,005 bytes (ScfSettings(...) and deploy(...)) is"),
    ],
)
def test_a_variable_that_is_refused_is_named_with_where_it_was_given(of_settings, own, named):
    with pytest.raises(ScfUsageError) as refused:
        first_configuration(ScfSettings(environment=of_settings), {**NAMED, "environment": own}, "deploy(...)")
    assert str(refused.value).startswith(named)


def test_a_variable_of_the_settings_that_a_deployment_replaces_is_not_checked():
    settings = ScfSettings(environment={"OUT": "x" * 5_000})
    made = first_configuration(settings, {**NAMED, "environment": {"OUT": "own"}}, "deploy(...)")
    assert made.environment == {"OUT": "own"}


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


@pytest.mark.parametrize(
    ("code", "handler", "name"),
    [
        ("functions/export", "index.main_handler", "export"),
        ("functions/export/", "index.main_handler", "export"),
        (".", "index.main_handler", "of-this-test"),
        ("functions/export", "shop.index.main_handler", "export"),
        ("functions/export", "import_.main_handler", "import"),
        ("functions/export/index.py:main_handler", None, "index"),
        ("export.v2.zip", "index.main_handler", "export-v2"),
        ("export.v2.zip", "app.main_handler", "app"),
    ],
)
def test_a_directory_or_a_zip_whose_file_is_index_gives_the_function_its_own_name(
    tmp_path, monkeypatch, code, handler, name
):
    directory = tmp_path / "of this test"
    (directory / "functions" / "export").mkdir(parents=True)
    (directory / "functions" / "export" / "index.py").touch()
    with zipfile.ZipFile(directory / "export.v2.zip", "w") as packed:
        packed.writestr("index.py", "")
    monkeypatch.chdir(directory)
    with ScfRuntime(lookup=[Path.cwd()]) as runtime:
        first, second = (runtime.deploy(code, handler=handler).name for _ in range(2))
    assert (first, second) == (name, f"{name}-2")


def test_a_zip_of_another_runtime_gives_the_function_its_own_name(tmp_path):
    (tmp_path / "bootstrap").write_text("#!/bin/sh\n")
    os.chmod(tmp_path / "bootstrap", 0o755)
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as packed:
        packed.write(tmp_path / "bootstrap", "bootstrap")
    with ScfRuntime(lookup=[Path.cwd()]) as runtime:
        assert runtime.deploy(tmp_path / "export.zip", runtime="CustomRuntime").name == "export"


def test_of_two_threads_that_deploy_one_stem_each_gets_a_name_of_its_own(tmp_path, monkeypatch):
    """The second one deploys after the first one has chosen its name, and before it has taken it."""
    (tmp_path / "export.py").write_text("def main_handler(event, context): pass")
    names = []
    lookup = runtime_module.looked_up

    def deploy():
        names.append(runtime.deploy(f"{tmp_path}/export.py:main_handler").name)

    def second_deploys(*given):
        monkeypatch.setattr(runtime_module, "looked_up", lookup)
        second.start()
        deadline = time.monotonic() + 60
        while second.is_alive() and not waits_for_lock(second):
            assert time.monotonic() < deadline
        return lookup(*given)

    monkeypatch.setattr(runtime_module, "looked_up", second_deploys)
    second = threading.Thread(target=deploy)
    with ScfRuntime(ScfSettings()) as runtime:
        deploy()
        second.join(60)
        assert sorted(names) == ["export", "export-2"]
        assert sorted(runtime.functions) == ["export", "export-2"]


def waits_for_lock(thread):
    """Whether *thread* stands where it takes the lock of its runtime."""
    frame = sys._current_frames().get(thread.ident)
    while frame is not None and frame.f_code.co_name != "locked":
        frame = frame.f_back
    return frame is not None
