from __future__ import annotations

import dataclasses
import math
from datetime import datetime, timedelta, timezone, tzinfo

import pytest

from pytest_scf_async.errors import ScfUsageError
from pytest_scf_async.options import ScfSettings

DURATIONS = [
    *("timeout", "init_timeout", "real_timeout", "real_limit", "compute_grace", "idle_reclaim", "stop_noise"),
    "function_state_time",
]
COUNTS = ["memory", "clock_reads_before_wait", "program_cpus", "status_reads_limit"]
SWITCHES = [
    "leases",
    "patched",
    "restore_environment",
    "terminate_without_trace",
    "api_rate_limits",
    "async_invoke_result",
    "async_run",
    "trace",
]
TEXTS = ["region", "appid", "uin", "runtime", "namespace"]
CHOICES = {
    "sandbox": ["auto", "namespaces", "none"],
    "clock": ["auto", "page", "freezegun"],
    "graceful_return_status": ["FINISHED", "ABORTED"],
    "graceful_exit_status": ["FAILED", "ABORTED"],
    "official_hosts": ["endpoint", "machine"],
    "unlistened_signal_line": ["received", "failed"],
    "network": ["loopback", "all"],
    "never_run": ["fail", "warn", "ignore"],
    "unfinished": ["warn", "fail", "ignore"],
    "over_quota": ["refuse", "queue"],
    "function_states": ["immediate", "timed"],
}
START = datetime(2026, 1, 1, tzinfo=timezone.utc)

# Every setting with its default and another valid value.
SETTINGS = {
    "timeout": (None, 3),
    "init_timeout": (65, 90),
    "memory": (None, 256),
    "real_timeout": (10.0, 0.5),
    "real_limit": (120.0, 60),
    "compute_grace": (1.0, 0.1),
    "clock_reads_before_wait": (1000, 1),
    "program_cpus": (1, 2),
    "sandbox": ("auto", "none"),
    "clock": ("auto", "freezegun"),
    "leases": (True, False),
    "preload": ((), ("json", "email.mime")),
    "idle_reclaim": (300.0, 0),
    "start": (None, START),
    "patched": (False, True),
    "time_zone": (timezone(timedelta(hours=8)), timezone.utc),
    "graceful_return_status": ("FINISHED", "ABORTED"),
    "graceful_exit_status": ("FAILED", "ABORTED"),
    "unlistened_signal_line": ("received", "failed"),
    "restore_environment": (True, False),
    "terminate_without_trace": (True, False),
    "api_rate_limits": (False, True),
    "official_hosts": ("endpoint", "machine"),
    "async_invoke_result": (True, False),
    "cos_directory": (None, "cos"),
    "region": ("ap-guangzhou", "ap-shanghai"),
    "appid": ("1250000000", "1"),
    "uin": ("100000000000", "2"),
    "runtime": ("Python3.10", "Python3.9"),
    "namespace": ("default", "staging"),
    "async_run": (True, False),
    "trace": (True, False),
    "over_quota": ("refuse", "queue"),
    "function_states": ("immediate", "timed"),
    "function_state_time": (2.0, 60),
    "network": ("loopback", "all"),
    "environment": ({}, {"BUCKET": "exports"}),
    "compute_rate": (0.0, 1.0),
    "stop_noise": (0.25, 0),
    "never_run": ("fail", "warn"),
    "unfinished": ("warn", "fail"),
    "status_reads_limit": (1000, 5),
}


def refusal(**values) -> str:
    with pytest.raises(ScfUsageError) as caught:
        ScfSettings().replace("ini", **values)
    return str(caught.value)


def test_every_setting_is_covered_here():
    assert ScfSettings.names() == tuple(SETTINGS)
    assert {
        *DURATIONS,
        *COUNTS,
        *SWITCHES,
        *TEXTS,
        *CHOICES,
        "compute_rate",
        "cos_directory",
        "start",
        "time_zone",
        "environment",
        "preload",
    } == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_its_default_and_says_so(name):
    settings = ScfSettings()
    assert getattr(settings, name) == SETTINGS[name][0]
    assert settings.source(name) == "default"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_replaced_value_remembers_its_source(name):
    settings = ScfSettings()
    replaced = settings.replace("command line", **{name: SETTINGS[name][1]})
    assert getattr(replaced, name) == SETTINGS[name][1]
    assert replaced.source(name) == "command line"
    assert replaced.changed() == {name: SETTINGS[name][1]}
    assert settings == ScfSettings()
    assert all(replaced.source(other) == "default" for other in SETTINGS if other != name)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_value_given_to_the_constructor_says_so(name):
    settings = ScfSettings(**{name: SETTINGS[name][1]})
    assert settings.source(name) == "ScfSettings(...)"
    assert settings.changed() == {name: SETTINGS[name][1]}


def test_the_last_source_of_a_value_wins():
    settings = ScfSettings(timeout=1).replace("ini", timeout=2, memory=128).replace("command line", timeout=3)
    assert (settings.timeout, settings.source("timeout")) == (3, "command line")
    assert (settings.memory, settings.source("memory")) == (128, "ini")


def test_a_source_survives_later_replacements():
    settings = ScfSettings(timeout=1).replace("ini", memory=128)
    assert settings.source("timeout") == "ScfSettings(...)"


def test_a_value_that_is_set_to_its_default_remembers_who_set_it():
    settings = ScfSettings(timeout=1).replace("command line", timeout=None)
    assert (settings.timeout, settings.source("timeout")) == (None, "command line")
    assert settings.changed() == {"timeout": None}


def test_sources_are_no_part_of_equality():
    assert ScfSettings(timeout=3) == ScfSettings().replace("ini", timeout=3)
    assert hash(ScfSettings(timeout=3)) == hash(ScfSettings().replace("ini", timeout=3))


def test_settings_cannot_be_changed():
    settings = ScfSettings(environment={"A": "1"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.timeout = 3
    with pytest.raises(TypeError):
        settings.environment["B"] = "2"


def test_the_environment_is_a_copy():
    mine = {"A": "1"}
    settings = ScfSettings(environment=mine)
    mine["B"] = "2"
    assert settings.environment == {"A": "1"}


def test_an_unknown_name_is_refused_with_the_valid_ones():
    message = refusal(time_out=3)
    assert message == f"'time_out' (ini) is not a setting; did you mean 'timeout'? valid are {', '.join(SETTINGS)}"
    with pytest.raises(ScfUsageError, match="'time_out' is not a setting"):
        ScfSettings().source("time_out")
    assert "'sources' (ini) is not a setting" in refusal(sources={})


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [3, 0.5, timedelta(milliseconds=500), timedelta(hours=2)])
def test_a_duration_is_seconds_or_a_timedelta(name, value):
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    replaced = getattr(ScfSettings().replace("ini", **{name: value}), name)
    assert replaced == seconds
    assert isinstance(replaced, (int, float))


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(
    "value", [-1, -0.001, math.nan, math.inf, -math.inf, True, "3", timedelta(seconds=-1), [3], 10**400, 1e12]
)
def test_any_other_duration_is_refused(name, value):
    message = refusal(**{name: value})
    assert message.startswith(f"{name}={value!r} (ini) is not valid: it must be ")
    assert "a number of seconds, " in message
    assert ("None, or " in message) == (name == "timeout")


@pytest.mark.parametrize("value", [0, 0.0, timedelta(0)])
def test_only_idle_instances_may_have_no_time_at_all(value):
    assert ScfSettings(idle_reclaim=value).idle_reclaim == 0
    assert ScfSettings(stop_noise=value).stop_noise == 0
    for name in DURATIONS:
        if name not in ("idle_reclaim", "stop_noise"):
            assert "more than 0" in refusal(**{name: value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", math.nan])
def test_a_count_is_a_whole_number_from_one(name, value):
    assert refusal(**{name: value}).endswith("a whole number, 1 or more")


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", [0, 1, "TRUE", None])
def test_a_switch_is_a_bool(name, value):
    assert refusal(**{name: value}) == f"{name}={value!r} (ini) is not valid: it must be True or False"


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", ["", None, 1, b"x"])
def test_a_text_is_not_empty(name, value):
    assert refusal(**{name: value}) == f"{name}={value!r} (ini) is not valid: it must be a non-empty string"


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", ["", "finished", "RUNNING", None, True])
def test_a_choice_is_one_of_a_few_words(name, value):
    words = " or ".join(map(repr, CHOICES[name]))
    assert refusal(**{name: value}) == f"{name}={value!r} (ini) is not valid: it must be {words}"


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"timeout", "memory", "start", "environment", "cos_directory"}))
def test_none_is_refused_where_it_has_no_meaning(name):
    assert refusal(**{name: None}).startswith(f"{name}=None (ini) is not valid")


@pytest.mark.parametrize(
    "value", [START, START.astimezone(timezone(timedelta(hours=-5))), datetime.fromtimestamp(0, timezone.utc)]
)
def test_a_start_is_an_aware_datetime(value):
    assert ScfSettings(start=value).start == value


class Nowhere(tzinfo):
    def utcoffset(self, when):
        return None


@pytest.mark.parametrize(
    "value", [datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=Nowhere()), "2026-01-01", 0, START.date()]
)
def test_a_start_without_a_zone_is_refused(value):
    message = refusal(start=value)
    assert message.startswith(f"start={value!r} (ini) is not valid: it must be None, or an aware datetime")


@pytest.mark.parametrize(
    "value", [datetime(1969, 12, 31, 23, 59, tzinfo=timezone.utc), datetime(9500, 1, 1, tzinfo=timezone.utc)]
)
def test_a_start_out_of_range_is_refused(value):
    assert refusal(start=value).endswith("in the years 1970 to 8999")


@pytest.mark.parametrize("value", [8, "Asia/Shanghai", timedelta(hours=8)])
def test_a_time_zone_is_a_tzinfo(value):
    assert "a tzinfo, as in timezone(timedelta(hours=8))" in refusal(time_zone=value)


@pytest.mark.parametrize("value", [["A=1"], "A=1", 1, None])
def test_an_environment_is_a_mapping(value):
    assert "a mapping of str to str" in refusal(environment=value)


@pytest.mark.parametrize(("key", "value"), [("A", 1), (1, "A"), ("A", None)])
def test_names_and_values_of_an_environment_are_str(key, value):
    message = refusal(environment={"OK": "x", key: value})
    assert message.startswith(f"environment[{key!r}] of type {type(value).__name__} (ini) is not valid")


@pytest.mark.parametrize(
    "value", [{"PASSWORD": b"canary"}, ["PASSWORD=canary"], "canary", {"PASSWORD": "canary", 1: ""}]
)
def test_a_refusal_of_an_environment_does_not_tell_its_values(value):
    assert "canary" not in refusal(environment=value)
    assert "canary" not in repr(ScfSettings(environment={"PASSWORD": "canary"}))


def test_a_bad_value_in_the_constructor_names_it_as_its_source():
    with pytest.raises(ScfUsageError, match=r"^real_timeout=0 \(ScfSettings\(\.\.\.\)\) is not valid"):
        ScfSettings(real_timeout=0)


def test_a_bad_value_of_an_earlier_source_cannot_hide_behind_a_later_one():
    settings = ScfSettings().replace("ini", timeout=3)
    with pytest.raises(ScfUsageError, match="command line"):
        settings.replace("command line", memory=0)
    assert settings.memory is None


def test_true_is_not_taken_for_one():
    assert ScfSettings(init_timeout=1).source("init_timeout") == "ScfSettings(...)"
    with pytest.raises(ScfUsageError):
        ScfSettings(init_timeout=True)


def test_a_value_that_equals_its_default_was_given_all_the_same():
    settings = ScfSettings(real_timeout=10.0)
    assert settings.source("real_timeout") == "ScfSettings(...)"
    assert settings.changed() == {"real_timeout": 10.0}
    assert settings.replace("ini", real_limit=5.0).changed() == {"real_timeout": 10.0, "real_limit": 5.0}


@pytest.mark.parametrize("given", ["json, email.mime", ["json", "email.mime"], ("json", "email.mime")])
def test_modules_are_given_as_a_text_or_as_names(given):
    assert ScfSettings(preload=given).preload == ("json", "email.mime")


@pytest.mark.parametrize("given", ["json,", "no-module", [1], 1, "a..b"])
def test_what_names_no_module_is_refused(given):
    assert refusal(preload=given) == (
        f"preload={given!r} (ini) is not valid: it must be names of modules, as in 'requests,qcloud_cos' or "
        "['requests', 'qcloud_cos']"
    )


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 1e7, True, "1", None])
def test_a_rate_is_a_number_within_bounds(value):
    assert "a number of simulated seconds for each real one, 0 to 1,000,000" in refusal(compute_rate=value)
    assert ScfSettings(compute_rate=0.5).compute_rate == 0.5
