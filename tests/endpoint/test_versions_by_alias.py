"""Aliases of functions: which version an event finds by one, and what is refused."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from versions_support import code_file, refusal

from pytest_scf_async.function import Function
from pytest_scf_async.runtime import ScfRuntime

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

REPORTS = """
    import os, time
    def main_handler(event, context):
        time.sleep((event or {}).get("seconds", 0))
        return {"code": %r, "version": (context["function_version"], os.environ["SCF_FUNCTIONVERSION"])}
"""


def reports(what: str) -> str:
    return textwrap.dedent(REPORTS) % what


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The handler's file; its code returns "first"."""
    return code_file(tmp_path, reports("first"))


@pytest.fixture
def function(index: Path, runtime: ScfRuntime) -> Function:
    return runtime.deploy(f"{index}:main_handler", name="export")


def test_an_alias_is_the_version_that_it_points_to(function, index, runtime):
    function.publish_version()
    index.write_text(reports("second, and longer"))
    function.update()
    function.publish_version()
    function.create_alias("prod", "1")

    first = function.invoke_async(qualifier="prod")
    function.update_alias("prod", "2")
    second = function.invoke_async({"seconds": 5}, qualifier="prod")
    runtime.wait_all()

    assert [event.result["code"] for event in (first, second)] == ["first", "second, and longer"]
    assert [event.result["version"][0] for event in (first, second)] == ["1", "2"]
    assert function.aliases == {"$DEFAULT": "$LATEST", "prod": "2"}
    function.delete_alias("prod")
    assert refusal(lambda: function.invoke_async(qualifier="prod")) == "ResourceNotFound.Qualifier"


def test_the_default_alias_can_be_moved(function, index):
    function.publish_version()
    index.write_text(reports("second, and longer"))
    function.update()
    assert function.run(qualifier="$DEFAULT")["code"] == "second, and longer"

    function.update_alias("$DEFAULT", "1")

    assert [function.run(qualifier=name)["code"] for name in ("$DEFAULT", "$LATEST", None)] == [
        "first", "second, and longer", "second, and longer",
    ]  # fmt: skip


def test_the_trace_has_the_version_of_an_event_whatever_it_was_called(function, runtime):
    function.publish_version()
    function.create_alias("prod", "1")
    for qualifier in (None, "$LATEST", "$DEFAULT", "1", "prod"):
        function.invoke_async(qualifier=qualifier).wait()

    def listed(qualifier: str | None) -> list[str]:
        page = runtime.list_async_events("export", qualifier=qualifier, order="ASC")
        return [event.qualifier for event in page.events]

    assert listed(None) == ["$LATEST"] * 3 + ["1"] * 2
    assert listed("$LATEST") == listed("$DEFAULT") == ["$LATEST"] * 3
    assert listed("1") == listed("prod") == ["1"] * 2
    assert [event.qualifier for event in runtime.events] == listed(None)
    function.update_alias("$DEFAULT", "1")
    assert listed("$DEFAULT") == ["1"] * 2
    assert refusal(lambda: listed("2")) == "ResourceNotFound.Version"


def test_what_cannot_be_deleted_has_the_platforms_codes(function):
    function.publish_version()
    function.create_alias("prod", "1")
    assert refusal(lambda: function.delete("1")) == "UnsupportedOperation.AliasBind"
    assert refusal(lambda: function.delete("prod")) == "ResourceNotFound.Qualifier"
    assert refusal(lambda: function.delete("$LATEST")) == "InvalidParameterValue.Qualifier"
    assert function.run(qualifier="prod")["code"] == "first"


def test_a_deleted_function_has_no_aliases(function):
    function.publish_version()
    function.delete()
    for call in (
        lambda: function.create_alias("prod", "$LATEST"),
        lambda: function.update_alias("$DEFAULT", "1"),
        lambda: function.delete_alias("prod"),
    ):
        assert refusal(call) == "ResourceNotFound.Function"
