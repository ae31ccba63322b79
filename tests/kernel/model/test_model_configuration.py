from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_scf_async.deployment import checked_configuration
from pytest_scf_async.errors import Given, ScfUsageError
from pytest_scf_async.model.configuration import DEFAULT_MEMORY, GO_RUNTIME, PYTHON_RUNTIMES, check_runtime, valid_name
from pytest_scf_async.options import OPTIONS, ScfSettings, option_named

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

NO_SOURCES = {}


def configure(sources=NO_SOURCES, **values):
    values = {"name": "export", "handler": "index.main_handler", **values}
    defaults = {option.name: getattr(ScfSettings(), option.name, option.default) for option in OPTIONS if option.kept}
    assert values.keys() <= defaults.keys()
    return checked_configuration(
        {name: option_named(name).given(value, sources.get(name, "")) for name, value in {**defaults, **values}.items()}
    )


def refusal(**values) -> str:
    with pytest.raises(ScfUsageError) as caught:
        configure(**values)
    return str(caught.value)


def test_the_defaults_are_those_of_the_design():
    made = configure()
    assert (made.name, made.namespace, made.handler, made.runtime) == (
        "export",
        "default",
        "index.main_handler",
        "Python3.10",
    )
    assert (made.timeout, made.init_timeout, made.memory, made.max_instances) == (86_400, 65, None, None)
    assert made.environment == {}
    assert made.async_run is True
    assert made.trace is True
    assert made.records_events


def test_a_sync_function_gets_three_seconds_and_records_nothing():
    made = configure(async_run=False)
    assert made.timeout == 3
    assert not made.records_events


def test_an_async_function_without_trace_records_nothing():
    assert not configure(trace=False).records_events


def test_a_function_without_memory_shows_the_platforms_default():
    assert configure().memory_or_default == DEFAULT_MEMORY == 128
    assert configure(memory=256).memory_or_default == 256


@pytest.mark.parametrize("name", ["ab", "export", "Export-2", "a_b-c9", "a" * 60])
def test_a_valid_name_is_taken(name):
    assert configure(name=name).name == name
    assert configure(namespace=name).namespace == name


@pytest.mark.parametrize(
    "name", ["", "a", "a" * 61, "1abc", "_ab", "ab-", "ab_", "a b", "a.b", "a\n", "ab\n", "导出", None, 12]
)
def test_an_invalid_name_is_refused_with_the_rule(name):
    message = refusal(name=name)
    assert message.startswith(f"name={name!r} is not valid: ")
    assert "2 to 60 letters, digits, hyphens and underscores" in message
    assert refusal(namespace=name).startswith(f"namespace={name!r} is not valid")


@pytest.mark.parametrize(
    "handler", ["index.main_handler", "pkg.mod.handle", "src/index.main", "my file.v2.handle", "a.b"]
)
def test_a_valid_handler_is_taken(handler):
    assert configure(handler=handler).handler == handler


@pytest.mark.parametrize("handler", ["", "index", ".main", "index.", "index.1x", "index..main", " index.main", None, 3])
def test_an_invalid_handler_is_refused_with_an_example(handler):
    assert refusal(handler=handler).endswith("as in 'index.main_handler'")


def test_the_runtimes_of_python_and_go_are_taken():
    for runtime in ("Python2.7", "Python3.6", "Python3.7", "Python3.9", "Python3.10", "Go1"):
        assert configure(runtime=runtime).runtime == runtime


def test_a_runtime_that_cannot_run_here_is_told_apart_from_an_unknown_one():
    for runtime in ("Nodejs18.15", "CustomRuntime", "CustomImage", "Java8", "Php8.0"):
        assert configure(runtime=runtime).runtime == runtime
        with pytest.raises(ScfUsageError, match=r"its code cannot be run here; these can: Python2\.7, "):
            check_runtime(Given("runtime", runtime), (*PYTHON_RUNTIMES, GO_RUNTIME))
    assert "the platform has Python2.7, " in refusal(runtime="Python3.11")
    assert "the platform has" in refusal(runtime=None)


@pytest.mark.parametrize("value", [1, 900, 901, 86_400, 7200.0, timedelta(hours=2)])
def test_a_timeout_of_an_async_function_is_up_to_a_day(value):
    made = configure(timeout=value)
    assert made.timeout == (value.total_seconds() if isinstance(value, timedelta) else value)
    assert type(made.timeout) is int


BAD_NUMBERS = [0, -1, 0.5, 1.5, math.nan, math.inf, -math.inf, True, "3", Decimal(3), timedelta(seconds=1.5)]


@pytest.mark.parametrize("value", [*BAD_NUMBERS, 86_401, timedelta(days=1, seconds=1), 10**400])
def test_any_other_timeout_of_an_async_function_is_refused(value):
    message = refusal(timeout=value, sources={"timeout": "deploy(...)"})
    assert message == (
        f"timeout={value!r} (deploy(...)) is not valid: the timeout of an async function is 1 to 86,400 whole seconds"
    )


@pytest.mark.parametrize("value", [1, 3, 900, timedelta(minutes=15)])
def test_a_timeout_of_a_sync_function_is_up_to_fifteen_minutes(value):
    assert 1 <= configure(timeout=value, async_run=False).timeout <= 900


@pytest.mark.parametrize("value", [*BAD_NUMBERS, 901])
def test_any_other_timeout_of_a_sync_function_is_refused(value):
    assert refusal(timeout=value, async_run=False).endswith("the timeout of a sync function is 1 to 900 whole seconds")


@pytest.mark.parametrize("value", [3, 65, 90.0, 300, timedelta(minutes=5)])
def test_an_init_timeout_is_three_to_three_hundred_seconds(value):
    assert 3 <= configure(init_timeout=value).init_timeout <= 300


@pytest.mark.parametrize("value", [*BAD_NUMBERS, 2, 301, None])
def test_any_other_init_timeout_is_refused(value):
    assert refusal(init_timeout=value).endswith("the init timeout of a function is 3 to 300 whole seconds")


def test_memory_is_64_or_a_multiple_of_128_up_to_3072():
    def taken(memory: int) -> bool:
        try:
            return configure(memory=memory).memory == memory
        except ScfUsageError:
            return False

    tried = [step + beside for step in range(0, 3300, 64) for beside in (-1, 0, 1)]
    assert [memory for memory in tried if taken(memory)] == [64, *range(128, 3073, 128)]


@pytest.mark.parametrize("value", [True, 128.0, "128", math.nan])
def test_memory_that_is_no_whole_number_is_refused(value):
    assert refusal(memory=value).endswith("it must be None, 64, or 128 to 3072 in steps of 128 (MB)")


@pytest.mark.parametrize("value", [1, 2, 1000, None])
def test_a_limit_of_instances_is_taken(value):
    assert configure(max_instances=value).max_instances == value


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1"])
def test_any_other_limit_of_instances_is_refused(value):
    assert "1 or more" in refusal(max_instances=value)


@pytest.mark.parametrize("name", ["async_run", "trace"])
@pytest.mark.parametrize("value", [1, 0, None, "TRUE"])
def test_a_switch_is_a_bool(name, value):
    assert refusal(**{name: value}) == f"{name}={value!r} is not valid: it must be True or False"


def test_an_environment_is_copied_and_cannot_be_changed():
    given_by_user = {"BUCKET": "exports", "a_1": ""}
    made = configure(environment=given_by_user)
    given_by_user["LATER"] = "x"
    assert made.environment == {"BUCKET": "exports", "a_1": ""}
    with pytest.raises(TypeError):
        made.environment["X"] = "y"


@pytest.mark.parametrize("key", ["", "A", "A" * 65, "1A", "_A", "A-B", "A.B", "A B", "A=B", "ÉA", "AB\n", 1, None])
def test_a_bad_environment_name_is_refused(key):
    message = refusal(environment={key: "x"}, sources={"environment": "marker"})
    assert message.startswith(f"the environment variable {key!r} (marker) is not valid: ")


@pytest.mark.parametrize("key", ["AB", "a1", "A" * 64])
def test_an_environment_name_has_2_to_64_bytes(key):
    assert configure(environment={key: "x"}).environment == {key: "x"}


def test_the_refusal_of_an_environment_name_says_how_long_it_is():
    assert refusal(environment={"A" * 65: "x"}).endswith(
        "it has 2 to 64 letters, digits and underscores, and starts with a letter"
    )


@pytest.mark.parametrize("key", ["SCF_X", "QCLOUD_", "TENCENTCLOUD_REGION"])
def test_a_reserved_environment_name_is_refused_with_its_prefix(key):
    prefix = key[: key.index("_") + 1]
    assert refusal(environment={key: "x"}).endswith(f"the platform reserves names that start with {prefix}")


@pytest.mark.parametrize("key", ["SCF", "scf_x", "MY_SCF_X", "TENCENTCLOUD"])
def test_a_name_that_only_looks_reserved_is_taken(key):
    assert configure(environment={key: "x"}).environment == {key: "x"}


@pytest.mark.parametrize("value", [1, None, b"x", True, "a\0b", "\ud800"])
def test_a_bad_environment_value_is_refused(value):
    message = refusal(environment={"AB": value})
    of = type(value).__name__
    assert message.startswith(f"environment['AB'] of type {of} is not valid: the value of an environment variable ")


@pytest.mark.parametrize(
    "value", [{"AB": b"canary"}, {"AB": "canary\0"}, {"AB": "canary\ud800"}, ["A=canary"], "canary"]
)
def test_a_refusal_of_an_environment_does_not_tell_its_values(value):
    assert "canary" not in refusal(environment=value)
    assert "canary" not in repr(configure(environment={"AB": "canary"}))


@pytest.mark.parametrize("value", [["A=1"], "A=1", 1])
def test_an_environment_that_is_no_mapping_is_refused(value):
    assert "a mapping of names to str" in refusal(environment=value)


@pytest.mark.parametrize(("value", "character"), [("x" * 4094, "x"), ("é" * 2047, "é")])
def test_an_environment_has_4096_bytes_of_utf8_at_most(value, character):
    assert configure(environment={"AB": value}).environment["AB"] == value
    message = refusal(environment={"AB": value + "x"}, sources={"environment": "ini"})
    assert message.startswith("environment of 4,097 bytes (ini) is not valid: ")
    assert "4,096 bytes at most" in message


def test_the_sources_are_kept():
    made = configure(timeout=5, sources={"timeout": "marker"})
    assert made.sources == {"timeout": "marker"}
    assert made == configure(timeout=5)


def test_configurations_can_be_keys():
    assert len({configure(environment={"AB": "1"}), configure(environment={"AB": "1"})}) == 1


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("export", "export"),
        ("my file.v2", "my-file-v2"),
        ("_x", "function-x"),
        ("x", "function-x"),
        ("2024_report", "function-2024_report"),
        ("导出", "function"),
        ("", "function"),
        ("--", "function"),
        ("data_", "data"),
        ("a" * 80, "a" * 60),
        ("a" * 59 + "-b", "a" * 59),
    ],
)
def test_a_stem_becomes_a_valid_name(stem, name):
    assert valid_name(stem) == name
    assert configure(name=name).name == name


def test_name_and_namespace_have_118_characters_together_at_most():
    assert configure(name="a" * 58, namespace="n" * 60).namespace == "n" * 60
    message = refusal(name="a" * 59, namespace="n" * 60, sources={"name": "marker", "namespace": "scf_settings"})
    assert message == (
        f"name={'a' * 59!r} (marker) is not valid: with namespace={'n' * 60!r} (scf_settings) it has 119 characters, "
        "and both together have 118 at most"
    )


def test_a_name_that_is_made_fits_its_namespace():
    name = valid_name("a" * 80, 2, namespace="n" * 60)
    assert name == "a" * 56 + "-2"
    assert configure(name=name, namespace="n" * 60).name == name


def test_a_function_has_5_layers_at_most():
    assert configure(layers=tuple(f"/layer{n}" for n in range(5))).layers[-1] == "/layer4"
    message = refusal(layers=tuple(f"/layer{n}" for n in range(6)), sources={"layers": "deploy(...)"})
    assert message.startswith("layers=['/layer0', ")
    assert message.endswith(" (deploy(...)) is not valid: a function has 5 layers at most, and these are 6")


def test_a_later_function_of_a_stem_has_its_number_at_the_end():
    assert valid_name("export", 2) == "export-2"
    assert valid_name("a" * 80, 12) == "a" * 57 + "-12"


@given(st.text(), st.integers(1, 10**6))
def test_any_stem_becomes_a_valid_name(stem, number):
    name = valid_name(stem, number)
    assert configure(name=name).name == name
