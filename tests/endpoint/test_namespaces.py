"""Namespaces exist by themselves: what the operations answer about functions and namespaces that do not exist."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import START

from pytest_scf_async.errors import ScfApiError

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

WORKS = "def main_handler(event, context): return event"


def refused(call, *arguments, **options):
    with pytest.raises(ScfApiError) as refusal:
        call(*arguments, **options)
    return refusal.value.code


def test_a_namespace_stays_when_its_last_function_is_deleted(deploy, runtime):
    function = deploy(WORKS, namespace="shop", name="export")
    function.delete()

    assert runtime.namespaces == ["default", "shop"]
    assert refused(runtime.list_async_events, "export", namespace="shop") == "ResourceNotFound.Function"
    assert refused(runtime.terminate_async_event, "export", "some-id", "shop") == "ResourceNotFound.Function"


def test_a_namespace_can_be_there_without_a_function(runtime):
    assert refused(runtime.list_async_events, "export", namespace="shop") == "ResourceNotFound.Namespace"
    runtime.create_namespace("shop")
    assert refused(runtime.list_async_events, "export", namespace="shop") == "ResourceNotFound.Function"


SECOND = timedelta(seconds=1)


@pytest.fixture
def four(runtime, deploy):
    """The namespaces shop, mall and kiosk beside default, a second apart; the first was updated last."""
    runtime.create_namespace("shop", "sells")
    runtime.clock.advance(1)
    runtime.create_namespace("mall")
    runtime.clock.advance(1)
    deploy(WORKS, name="export", namespace="kiosk")
    runtime.clock.advance(1)
    runtime.update_namespace("shop", "sells things")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({}, ["kiosk", "mall", "shop", "default"]),
        ({"order": "ASC"}, ["default", "shop", "mall", "kiosk"]),
        ({"orderby": "Name"}, ["shop", "mall", "kiosk", "default"]),
        ({"orderby": "Name", "order": "ASC"}, ["default", "kiosk", "mall", "shop"]),
        ({"orderby": "Updatetime", "order": "DESC"}, ["shop", "kiosk", "mall", "default"]),
        ({"offset": 1, "limit": 2}, ["mall", "shop"]),
        ({"search_key": {"Namespace": "al"}}, ["mall"]),
        ({"search_key": {"Namespace": "s", "Description": "thing"}}, ["shop"]),
        ({"search_key": {"Namespace": "mall", "Description": "thing"}}, []),
    ],
)
def test_the_list_of_namespaces(runtime, four, arguments, names):
    page = runtime.list_namespaces(**arguments)
    assert [row.name for row in page.namespaces] == names
    assert page.total_count == (4 if "limit" in arguments else len(names))


def test_a_row_of_the_list(runtime, four):
    kiosk, _, shop, default = runtime.list_namespaces().namespaces
    assert (shop.description, shop.add_time, shop.mod_time) == ("sells things", START, START + 3 * SECOND)
    assert (kiosk.description, kiosk.add_time, kiosk.mod_time) == ("", START + 2 * SECOND, START + 2 * SECOND)
    assert (default.add_time, default.namespace_type) == (START, "default")


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("InvalidParameterValue.Order", {"order": "asc"}),
        ("InvalidParameterValue.Order", {"orderby": "AddTime"}),
        ("InvalidParameterValue.Limit", {"limit": 0}),
        ("InvalidParameterValue.Offset", {"offset": -1}),
        ("InvalidParameterValue.SearchKey", {"search_key": {"Tag": "x"}}),
    ],
)
def test_what_the_list_refuses(runtime, code, arguments):
    assert refused(runtime.list_namespaces, **arguments) == code


def test_a_namespace_without_functions_is_deleted(runtime, four):
    runtime.delete_namespace("mall")
    assert runtime.namespaces == ["default", "shop", "kiosk"]
    assert refused(runtime.delete_namespace, "mall") == "ResourceNotFound.Namespace"
    assert refused(runtime.list_functions, namespace="mall") == "ResourceNotFound.Namespace"


def test_a_namespace_with_functions_is_not(runtime, four):
    assert refused(runtime.delete_namespace, "kiosk") == "ResourceInUse.Namespace"
    runtime.functions["kiosk/export"].delete()
    runtime.delete_namespace("kiosk")
    assert "kiosk" not in runtime.namespaces


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("default", "FailedOperation.DeleteNamespace"),
        ("other", "ResourceNotFound.Namespace"),
        ("a b", "InvalidParameterValue.Namespace"),
        (None, "InvalidParameterValue.Namespace"),
        (["shop"], "InvalidParameterValue.Namespace"),
    ],
)
def test_a_namespace_that_cannot_be_deleted(runtime, name, code):
    assert refused(runtime.delete_namespace, name) == code


@pytest.mark.parametrize(
    ("name", "description", "code"),
    [
        ("default", "x", "UnsupportedOperation"),
        ("other", "x", "ResourceNotFound.Namespace"),
        ("shop", "x" * 1001, "InvalidParameterValue.Description"),
        ("shop", None, "InvalidParameterValue.Description"),
        (["shop"], "x", "ResourceNotFound.Namespace"),
    ],
)
def test_a_namespace_that_cannot_be_updated(runtime, four, name, description, code):
    assert refused(runtime.update_namespace, name, description) == code
    assert refused(runtime.create_namespace, "next", "x" * 1001) == "InvalidParameterValue.Description"


def test_a_function_is_deployed_in_a_namespace_that_was_created(deploy, runtime):
    runtime.create_namespace("shop")
    assert deploy(WORKS, namespace="shop", name="export").run({"n": 1}) == {"n": 1}
    assert list(runtime.functions) == ["shop/export"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("default", "InvalidParameterValue.DefaultNamespace"),
        ("shop", "ResourceInUse.Namespace"),
        ("a b", "InvalidParameterValue.Namespace"),
        (None, "InvalidParameterValue.Namespace"),
    ],
)
def test_a_namespace_that_cannot_be_created(runtime, name, code):
    runtime.create_namespace("shop")
    assert refused(runtime.create_namespace, name) == code
    assert runtime.namespaces == ["default", "shop"]


@pytest.mark.parametrize("name", ["", "1st", "a" * 61, "export/other", None])
def test_what_can_be_no_functions_name(runtime, name):
    assert refused(runtime.list_async_events, name) == "InvalidParameterValue.FunctionName"
    assert refused(runtime.terminate_async_event, name, "some-id") == "InvalidParameterValue.FunctionName"


def test_what_can_be_no_namespaces_name(deploy, runtime):
    deploy(WORKS, name="export")
    assert refused(runtime.list_async_events, "export", namespace="a b") == "InvalidParameterValue.Namespace"
    # TerminateAsyncEvent has no such error.
    assert refused(runtime.terminate_async_event, "export", "some-id", "a b") == "ResourceNotFound.Namespace"
