"""docs/reference.md names what there is, all of it and nothing else; and what there is has docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import pytest_scf_async
from pytest_scf_async import (
    AsyncEvent,
    Function,
    ScfEndpoint,
    ScfRuntime,
    ScfSettings,
    SimulatedClock,
    Sweep,
    hookspecs,
    scripted,
    wings_at_start,
)
from pytest_scf_async.model.codes import STATUS_CODES
from pytest_scf_async.model.transitions import TRANSITIONS
from pytest_scf_async.plugin import plugin

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "reference.md").read_text(encoding="utf-8")
TUNING = (DOCS / "tuning.md").read_text(encoding="utf-8")
PUBLIC = pytest_scf_async.__all__
OF_THE_RUNTIME = {"time_of", "attach", "call_at", "detach", "pop_due", "next_due_us", "jump"}
"""Methods of the clock that its runtime uses: no user needs them."""


def rows(title: str, page: str = PAGE) -> list[list[str]]:
    """The rows of the tables below the heading *title*; groups of rows have a name of their own, in bold."""
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert section, f"there is no section {title}"
    found = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]
    assert found, f"the section {title} has no table"
    return found


def names(title: str) -> list[str]:
    """What the first column has, without arguments."""
    return [row[0].strip("`").partition("(")[0] for row in rows(title)]


def members(of: type, besides: Iterable[str] = ()) -> set[str]:
    ours = [each for each in of.__mro__ if each.__module__.startswith("pytest_scf_async")]
    return {name for each in ours for name in vars(each) if not name.startswith("_")} - set(besides)


def test_the_settings_with_their_defaults_and_options() -> None:
    found = [row for row in (*rows("Settings"), *rows("Settings", TUNING)) if not row[0].startswith("`--")]
    table = {row[0].strip("`"): row[1:] for row in found}
    assert sorted(row[0].strip("`") for row in found) == sorted(ScfSettings.names())
    defaults = ScfSettings()
    for name, (default, option, _) in table.items():
        value: Any = getattr(defaults, name)
        shown = {"time_zone": "UTC+08:00", "environment": "`{}`"}.get(name, f"`{value!r}`")
        assert (name, default, option) == (name, shown, "yes" if name in plugin.OPTIONS else "no")


def test_every_option_of_the_command_line_and_the_ini_file(pytestconfig: pytest.Config) -> None:
    shown = {row[0].strip("`").partition("=")[0] for row in rows("Settings") if row[0].startswith("`--")}
    shown |= {f"--scf-async-{name.replace('_', '-')}" for name in plugin.FLAGS}
    parser = pytest.Parser(_ispytest=True)
    for each in (plugin, wings_at_start):
        each.pytest_addoption(parser)
    (group,) = (group for group in parser._groups if group.name == "scf-async")
    assert {name for option in group.options for name in option.names()} == shown
    in_file = {row[1].strip("`") for row in rows("Settings") if row[0].startswith("`--")} - {"none"}
    assert set(parser._inidict) == in_file | {f"scf_async_{name}" for name in plugin.OPTIONS}


def test_the_fixtures() -> None:
    known = {**vars(plugin), **vars(wings_at_start)}
    found = {name: fixture for name, fixture in known.items() if type(fixture).__name__.startswith("Fixture")}
    assert sorted(names("Fixtures")) == sorted(found)
    for row in rows("Fixtures"):
        marked = found[row[0].strip("`")]
        assert marked._fixture_function_marker.scope == row[1]
        returned = inspect.signature(marked._fixture_function).return_annotation
        assert row[2].strip("`") in (returned, returned.removeprefix("Iterator[").removesuffix("]"))


@pytest.mark.parametrize("call", ["deploy", "deploy_image"])
def test_the_keywords_of(call: str) -> None:
    parameters = inspect.signature(getattr(ScfRuntime, call)).parameters
    assert sorted(names(f"Keywords of `{call}`")) == sorted(name for name in parameters if name != "self")


def test_what_to_begin_with_is_there() -> None:
    settings, calls = (table for table in PAGE.partition("\n## Begin with these\n")[2].split("\n\n")[:2])
    named = re.findall(r"^\| `(\w+)` ", settings, re.MULTILINE)
    assert len(named) == 5
    assert set(named) <= set(ScfSettings.names())
    of = {"scf_runtime": ScfRuntime, "function": Function, "event": AsyncEvent, "scf_clock": SimulatedClock}
    shown = re.findall(r"`(\w+)\.(\w+)\(", calls)
    assert len(shown) == 11
    assert all(hasattr(of[owner], name) for owner, name in shown)


def test_the_keywords_of_deploy_scripted() -> None:
    assert ["name", "script", *names("Keywords of `deploy_scripted`")] == [
        name for name in inspect.signature(ScfRuntime.deploy_scripted).parameters if name != "self"
    ]


def test_the_keywords_of_sweep() -> None:
    assert names("Keywords of `sweep`") == [
        name for name in inspect.signature(ScfRuntime.sweep).parameters if name != "self"
    ]


def test_the_names_of_scripts() -> None:
    assert {name.partition("(")[0] for name in names("Scripts")} == set(scripted.__all__)
    documented = set(scripted.__all__) - {"ByEvent", "OnTerminate"}  # aliases, which have none
    assert [name for name in documented if not inspect.getdoc(getattr(scripted, name))] == []


@pytest.mark.parametrize("of", [ScfRuntime, Function, AsyncEvent, SimulatedClock, ScfEndpoint, Sweep])
def test_the_members(of: type) -> None:
    assert set(names(f"`{of.__name__}`")) == members(of, OF_THE_RUNTIME)


def test_the_helpers_with_their_arguments() -> None:
    shown = {row[0].strip("`").partition("(")[0]: row[0] for row in rows("Assertion helpers")}
    assert list(shown) == [name for name in PUBLIC if name.startswith("assert_")]
    for name, call in shown.items():
        given = [each.rstrip("=…") for each in call.strip("`").partition("(")[2].rstrip(")").split(", ")]
        assert given == list(inspect.signature(getattr(pytest_scf_async, name)).parameters)


def test_the_hooks() -> None:
    assert names("Hooks") == [name for name in vars(hookspecs) if name.startswith("pytest_scf_async_")]
    assert "@pytest.hookimpl(optionalhook=True)" in PAGE.partition("\n## Hooks\n")[2].partition("\n## ")[0]


def test_every_open_reading_that_is_a_setting_is_in_the_page_on_fidelity() -> None:
    fidelity = (Path(__file__).resolve().parents[3] / "docs" / "fidelity.md").read_text(encoding="utf-8")
    last_columns = [line.rstrip("| ").rpartition(" | ")[2] for line in fidelity.splitlines() if line.startswith("| ")]
    of_readings = "graceful_return_status graceful_exit_status unlistened_signal_line terminate_without_trace time_zone"
    for name in (*of_readings.split(), "idle_reclaim", "init_timeout", "restore_environment"):
        assert any(f"`{name}`" in column for column in last_columns), name


def test_the_status_codes_with_which_events_end_and_those_with_which_none_does() -> None:
    page = (DOCS / "glossary.md").read_text(encoding="utf-8").partition("\n## Status codes\n")[2].partition("\n## ")[0]
    with_end, without = (
        dict(re.findall(r"^\| (\d+) \| ([^|]+) \|", table, re.MULTILINE))
        for table in page.split("| code that ends no event |")
    )
    ends = {str(end.status_code) for end in TRANSITIONS.values() if end.state.ended and end.status_code > 0}

    assert set(with_end) == ends
    assert len(without) == 15
    assert {**with_end, **without} == {str(row.code): row.name for row in STATUS_CODES.values()}


def test_the_errors() -> None:
    assert names("Errors") == [name for name in PUBLIC if name.endswith(("Error", "Warning"))]
    assert all(len(row) == 3 and row[2] for row in rows("Errors"))


def test_every_public_name_is_somewhere() -> None:
    assert [name for name in PUBLIC if f"`{name}" not in PAGE] == []


def test_everything_public_has_a_docstring() -> None:
    bare = [name for name in PUBLIC if not inspect.getdoc(getattr(pytest_scf_async, name))]
    for of in (ScfRuntime, Function, AsyncEvent, SimulatedClock, Sweep, pytest_scf_async.EventLog):
        found = {name: inspect.getattr_static(of, name) for name in members(of)}
        bare += [f"{of.__name__}.{name}" for name, member in found.items() if not inspect.getdoc(member)]
    assert bare == []
