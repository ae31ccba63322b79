"""Whatever a client sends, an operation answers or refuses it with a code of the platform: nothing else comes out."""

from __future__ import annotations

import inspect
from contextlib import suppress

import pytest

from pytest_scf_async import ScfRuntime
from pytest_scf_async.errors import ScfApiError
from pytest_scf_async.function import Function

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

VALUES = [
    None,
    0,
    -1,
    10**30,
    True,
    1.5,
    float("nan"),
    "",
    "x",
    "a\0b",
    "\ud800",
    "x" * 5000,
    b"x",
    [],
    ["x"],
    {},
    {"x": 1},
]
TIMES = ("start", "end", "start_time_interval", "end_time_interval")
"""The wire has texts for them, which are read before."""
OF_RUNTIME = {
    "create_function": {"function_name": "other", "zip_file": ""},
    "update_function_code": {"function_name": "export", "zip_file": ""},
    "update_function_configuration": {"function_name": "export"},
    "create_namespace": {"name": "shop"},
    "update_namespace": {"name": "shop", "description": ""},
    "delete_namespace": {"name": "shop"},
    "list_namespaces": {},
    "get_function": {"function_name": "export"},
    "list_functions": {},
    "invoke": {"function_name": "export"},
    "invoke_function": {"function_name": "export"},
    "request_status": {"function_name": "export", "request_id": "r"},
    "function_logs": {"function_name": "export"},
    "list_async_events": {"function_name": "export"},
    "get_async_event_status": {"request_id": "r"},
    "terminate_async_event": {"function_name": "export", "request_id": "r"},
}
OF_FUNCTION = {
    "publish_version": {},
    "list_versions": {},
    "create_alias": {"name": "live", "version": "$LATEST"},
    "update_alias": {"name": "$DEFAULT", "version": "$LATEST"},
    "get_alias": {"name": "live"},
    "list_aliases": {},
    "delete_alias": {"name": "live"},
    "update_event_invoke_config": {},
    "delete": {"qualifier": "1"},
}


def cases():
    for owner, operations in ((ScfRuntime, OF_RUNTIME), (Function, OF_FUNCTION)):
        for name, arguments in operations.items():
            for parameter in inspect.signature(getattr(owner, name)).parameters:
                if parameter not in ("self", *TIMES):
                    yield pytest.param(owner, name, (arguments, parameter), id=f"{name}-{parameter}")


@pytest.mark.parametrize(("owner", "name", "given"), list(cases()))
def test_only_an_error_of_the_platform_comes_out(runtime, deploy, owner, name, given):
    arguments, parameter = given
    function = deploy("def main_handler(event, context): return 1\n", name="export", async_run=False)
    operation = getattr(runtime if owner is ScfRuntime else function, name)
    for value in VALUES:
        if (name, parameter, value) == ("delete", "qualifier", None):
            continue  # the function itself
        with suppress(ScfApiError):
            operation(**{**arguments, parameter: value})
        if name == "create_alias" and "live" in function.aliases:
            function.delete_alias("live")
