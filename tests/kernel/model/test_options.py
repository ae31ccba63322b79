"""All that names a setting or a keyword follows from the table of options: each view is compared with each row."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import sys
import typing
from pathlib import Path
from types import ModuleType

import pytest

from pytest_scf_async import Function, ScfRuntime, ScfSettings, scf_function
from pytest_scf_async.errors import ScfUsageError
from pytest_scf_async.model.configuration import LIMITS, FunctionConfiguration
from pytest_scf_async.options import OPTIONS, Option, Where, keywords_of, option_named, options_of
from pytest_scf_async.plugin import plugin
from pytest_scf_async.plugin.settings import settings_of

PROJECT = Path(__file__).resolve().parents[3]
CALLS = {
    where: getattr(owner, name)
    for where, owner, name in (
        (Where.DEPLOY, ScfRuntime, "deploy"),
        (Where.IMAGE, ScfRuntime, "deploy_image"),
        (Where.UPDATE, Function, "update"),
        (Where.SCRIPTED, ScfRuntime, "deploy_scripted"),
    )
    if hasattr(owner, name)
}
"""Those of wings are there where these are."""
IN_A_TEXT = {
    "timeout": ("1.5", 1.5),
    "init_timeout": ("90", 90.0),
    "memory": ("256", 256),
    "real_timeout": ("0.5", 0.5),
    "real_limit": ("60", 60.0),
    "compute_grace": ("0.1", 0.1),
    "clock_reads_before_wait": ("5", 5),
    "program_cpus": ("2", 2),
    "leases": ("False", False),
    "preload": ("json, email.mime", ("json", "email.mime")),
    "idle_reclaim": ("0", 0.0),
    "patched": ("TRUE", True),
    "restore_environment": ("false", False),
    "terminate_without_trace": ("false", False),
    "api_rate_limits": ("true", True),
    "async_invoke_result": ("false", False),
    "official_hosts": ("machine", "machine"),
    "compute_rate": ("0.5", 0.5),
    "function_state_time": ("60", 60.0),
    "stop_noise": ("0", 0.0),
    "status_reads_limit": ("5", 5),
}
"""Texts of the command line and their values; of choices, each word is its own value."""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_options_under_test", PROJECT / "tools" / "write_options.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def normal(annotation: str) -> str:
    """As Python writes it."""
    return ast.unparse(ast.parse(annotation, mode="eval"))


def parameters(where: Where) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(CALLS[where]).parameters)
    del found["self"]
    for name in ("locked", *(("name", "script") if where is Where.SCRIPTED else ())):
        found.pop(name, None)
    return found


@pytest.mark.once  # it reads the sources
def test_what_is_written_from_the_table_is_what_there_is(tool: ModuleType) -> None:
    behind = [str(path) for path, (before, after) in tool.views(PROJECT).items() if before != after]
    assert behind == [], "make options"


@pytest.mark.once  # it reads the sources
def test_a_file_that_is_behind_is_found_and_written(tool: ModuleType) -> None:
    (path,) = (path for path in tool.views(PROJECT) if path.name == "function.py")
    lines = path.read_text(encoding="utf-8").splitlines()
    start, end = (
        next(n for n, line in enumerate(lines) if part in line) for part in ("# [options: update]", "# [end]")
    )
    behind = "\n".join([*lines[: start + 1], *lines[end:]]) + "\n"
    assert tool.written(behind, "update", lines[start + 1 : end]) != behind
    made = tool.written(behind, "update", [line.strip() for line in lines[start + 1 : end]])
    assert made == path.read_text(encoding="utf-8")


def test_each_name_is_there_once() -> None:
    names = [option.name for option in OPTIONS]
    assert sorted(set(names)) == sorted(names)
    assert all(option_named(option.name) is option for option in OPTIONS)
    assert {option.goes_with for option in OPTIONS} - {""} <= set(names)
    assert LIMITS.keys() <= {option.name for option in OPTIONS if option.kept}


@pytest.mark.parametrize("where", Where)
def test_which_options_may_be_given_somewhere_is_found_out_once(where: Where) -> None:
    """Each deploy and each runtime needs it, so it is computed once."""
    assert options_of(where) is options_of(where)


def test_settings_are_the_fields_of_scf_settings_with_their_defaults() -> None:
    assert list(ScfSettings.names()) == [option.name for option in options_of(Where.SETTINGS)]
    for option in options_of(Where.SETTINGS):
        assert getattr(ScfSettings(), option.name) == option.default
        annotation = normal(ScfSettings.__annotations__[option.name])
        assert annotation == normal(option.type + (" | None" if option.none else ""))


def test_options_of_pytest_are_settings_and_the_plugin_has_them() -> None:
    assert list(plugin.OPTIONS) == [option.name for option in options_of(Where.PYTEST)]
    assert all(Where.SETTINGS in option.where for option in options_of(Where.PYTEST))


@pytest.mark.parametrize("where", CALLS)
def test_the_keywords_of_a_call_are_those_of_the_table(where: Where) -> None:
    assert list(parameters(where)) == [option.name for option in options_of(where)]
    for option in options_of(where):
        given = parameters(where)[option.name]
        assert normal(given.annotation).startswith(normal(option.type))
        assert (given.kind is inspect.Parameter.KEYWORD_ONLY) is not option.first
        if where is not Where.UPDATE and not option.first:
            assert given.default == (None if Where.SETTINGS in option.where else option.default)


def test_the_typed_marker_takes_the_keywords_of_deploy_and_says_which_were_given() -> None:
    of_deploy, of_marker = parameters(Where.DEPLOY), dict(inspect.signature(scf_function).parameters)
    assert of_marker.pop("payload").annotation == "Json"
    assert {name: each.annotation for name, each in of_marker.items()} == {
        name: each.annotation for name, each in of_deploy.items()
    }
    assert {each.default for each in of_marker.values()} == {...}
    assert scf_function("a.py:b", memory=None, payload=None).mark.kwargs == {"memory": None, "payload": None}


def test_a_call_gets_what_it_was_given_by_name() -> None:
    given = {option.name: object() for option in OPTIONS}
    for where in CALLS:
        taken = keywords_of(where, {**given, "self": None})
        assert taken == {option.name: given[option.name] for option in options_of(where)}


def test_a_functions_configuration_keeps_what_the_table_says() -> None:
    kept = {each.name: each.type for each in dataclasses.fields(FunctionConfiguration) if each.name != "sources"}
    assert kept == {option.name: option.kept for option in OPTIONS if option.kept}
    secret = {each.name for each in dataclasses.fields(FunctionConfiguration) if not each.repr}
    assert secret == {option.name for option in OPTIONS if option.secret} | {"sources"}


def test_what_deploy_can_set_update_changes_or_says_why_not() -> None:
    of_deploy = {option.name for option in options_of(Where.DEPLOY) if Where.UPDATE not in option.where}
    assert of_deploy == {option.name for option in OPTIONS if option.locked}


@pytest.mark.parametrize("option", options_of(Where.SETTINGS), ids=lambda option: option.name)
def test_a_default_keeps_the_rule(option: Option) -> None:
    assert option.check(option.given(option.default, "default")) == option.default


@pytest.mark.parametrize("option", options_of(Where.PYTEST), ids=lambda option: option.name)
def test_a_text_of_the_command_line_is_read_by_the_rule(option: Option) -> None:
    source = f"command line: --scf-async-{option.name}"
    if option.name == "start":
        assert settings_of({"start": ("2026-01-01T00:00:00Z", source)}).start is not None
    elif option.name in IN_A_TEXT:
        text, value = IN_A_TEXT[option.name]
        assert getattr(settings_of({option.name: (text, source)}), option.name) == value
    else:
        words = option.rule.form.replace(" or ", ", ").split(", ")
        assert len(words) > 1
        assert [getattr(settings_of({option.name: (word, source)}), option.name) for word in words] == words
        assert option.type == "str" or list(typing.get_args(eval(option.type, vars(typing)))) == words  # noqa: S307
    with pytest.raises(
        pytest.UsageError, match=rf"^{option.name}='no such value, \?' \({source}\) is not valid: it must be "
    ):
        settings_of({option.name: ("no such value, ?", source)})


@pytest.mark.parametrize("source", ["command line: --scf-async-start", "ini: scf_async_start", "in any words"])
def test_a_text_does_not_name_values_that_it_cannot_have(source: str) -> None:
    for name, form in (("real_limit", "or such a timedelta"), ("start", "it must be None, or an aware datetime")):
        with pytest.raises(ScfUsageError, match=form):
            ScfSettings().replace("scf_settings", **{name: "soon"})
        with pytest.raises(pytest.UsageError) as refused:
            settings_of({name: ("soon", source)})
        assert not any(word in str(refused.value) for word in ("None", "datetime(", "timedelta"))


@pytest.mark.parametrize("option", options_of(Where.SETTINGS), ids=lambda option: option.name)
def test_a_refusal_names_the_value_and_its_source(option: Option) -> None:
    with pytest.raises(ScfUsageError, match=rf"^{option.name}.*\(my source\) is not valid: it must be "):
        ScfSettings().replace("my source", **{option.name: object()})
