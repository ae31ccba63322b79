"""Namespaces exist by themselves: what the operations say of functions and namespaces that are not there."""

from __future__ import annotations

import pytest

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
