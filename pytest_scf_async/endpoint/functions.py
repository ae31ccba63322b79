"""CreateFunction, GetFunction and the others about functions, their versions and triggers.

Documents 18586, 18584, 18582, 18581, 18580, 18585, 34415, 36153 and 89728.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..function import Function
from ..runtime import ScfRuntime
from .action import Action
from .operations.error_texts import api_error
from .operations.functions import FunctionDetails, switch
from .parameters import Parameters
from .values import answered, keywords

# -- what there is ---------------------------------------------------------------------------------------------------


def known_function(runtime: ScfRuntime, sent: Parameters) -> Function:
    """The function that *sent* names; raises ``ScfApiError``, as every action does where there is none."""
    return runtime.function(sent["FunctionName"], sent.get("Namespace", "default"))


def _environment(sent: Parameters) -> dict[str, str] | None:
    """The variables that were sent; None where none were."""
    if "Environment" not in sent:
        return None
    return {each.get("Key", ""): each.get("Value", "") for each in sent["Environment"].get("Variables", [])}


def _zip_file(code: Mapping[str, Any]) -> str | None:
    """The zip of the code, in Base64; refuses the ways to send code for which a cloud is needed."""
    for name in code:
        if name != "ZipFile" and code[name]:
            raise api_error("UnsupportedOperation", what=f"Code with {name} (only with ZipFile)")
    zip_file: str | None = code.get("ZipFile")
    return zip_file


def _refuse_layers(sent: Parameters) -> None:
    if sent.get("Layers"):
        raise api_error("UnsupportedOperation", what="A function with Layers, which nothing can publish here,")


# -- actions ---------------------------------------------------------------------------------------------------------

_CONFIGURATION: Final = ("Description", "MemorySize", "Timeout", "InitTimeout", "TraceEnable", "Namespace")


def _create_function(runtime: ScfRuntime, sent: Parameters) -> None:
    _refuse_layers(sent)
    runtime.create_function(
        sent["FunctionName"],
        _zip_file(sent.get("Code", {})),
        environment=_environment(sent),
        **keywords(sent, "Handler", "Runtime", "AsyncRunEnable", *_CONFIGURATION, Type="function_type"),
    )


def _update_function_code(runtime: ScfRuntime, sent: Parameters) -> None:
    at_top = {name: sent[name] for name in ("ZipFile", "CosBucketName", "CosObjectName") if name in sent}
    runtime.update_function_code(
        sent["FunctionName"],
        _zip_file(sent.get("Code", at_top)),
        **keywords(sent, "Handler", "Namespace", "Publish"),
    )


def _update_function_configuration(runtime: ScfRuntime, sent: Parameters) -> None:
    _refuse_layers(sent)
    function = known_function(runtime, sent)
    if sent.get("Runtime", function.configuration.runtime) != function.configuration.runtime:
        valid = f"the runtime of a function cannot be changed, and it is {function.configuration.runtime}"
        raise api_error("InvalidParameterValue.Runtime", value=sent["Runtime"], valid=valid)
    runtime.update_function_configuration(
        sent["FunctionName"],
        environment=_environment(sent),
        **keywords(sent, "Publish", *_CONFIGURATION),
    )


def _get_function(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    details = runtime.get_function(sent["FunctionName"], **keywords(sent, "Namespace", "Qualifier"))
    return _details(details, runtime)


def _details(details: FunctionDetails, runtime: ScfRuntime) -> dict[str, Any]:
    configuration = details.configuration
    return {
        **answered(details, runtime.settings.time_zone, besides=("configuration", "versions")),
        "Qualifier": details.function_version,
        "StatusDesc": "",
        "StatusReasons": [],
        "Runtime": configuration.runtime,
        "Handler": configuration.handler,
        "CodeInfo": "",
        "CodeResult": "success",
        "CodeError": "",
        "ErrNo": 0,
        "Timeout": configuration.timeout,
        "InitTimeout": configuration.init_timeout,
        "MemorySize": configuration.memory_or_default,
        "Environment": {
            "Variables": [{"Key": key, "Value": value} for key, value in configuration.environment.items()]
        },
        "AsyncRunEnable": switch(configuration.async_run),
        "TraceEnable": switch(configuration.trace),
        "Triggers": [],
        "Layers": [],
        "Tags": [],
        "Role": "",
        "VpcConfig": {"VpcId": "", "SubnetId": ""},
        "ClsLogsetId": "",
        "ClsTopicId": "",
    }


def _list_functions(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    names = ("Namespace", "Order", "Orderby", "Offset", "Limit", "SearchKey", "Description")
    filters = {each["Name"]: each.get("Values", []) for each in sent.get("Filters", [])}
    page = runtime.list_functions(filters=filters, **keywords(sent, *names))
    return {
        "TotalCount": page.total_count,
        "Functions": [
            {**answered(row, runtime.settings.time_zone), "StatusDesc": "", "StatusReasons": [], "Tags": []}
            for row in page.functions
        ],
    }


def _delete_function(runtime: ScfRuntime, sent: Parameters) -> None:
    known_function(runtime, sent).delete(sent.get("Qualifier"))


def _publish_version(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    function = known_function(runtime, sent)
    version = function.publish_version(sent.get("Description", ""))
    details = _details(runtime.get_function(function.name, namespace=function.namespace, qualifier=version), runtime)
    names = ("FunctionVersion", "CodeSize", "MemorySize", "Description", "Handler", "Timeout", "Runtime", "Namespace")
    return {name: details[name] for name in names}


def _list_versions(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    page = known_function(runtime, sent).list_versions(**keywords(sent, "Offset", "Limit", "Order", "OrderBy"))
    return {
        "FunctionVersion": [row.version for row in page.versions],
        **answered(page, runtime.settings.time_zone),
    }


def _list_triggers(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    known_function(runtime, sent)
    return {"TotalCount": 0, "Triggers": []}


FUNCTION_ACTIONS: Final = (
    Action("CreateFunction", _create_function),
    Action("UpdateFunctionCode", _update_function_code),
    Action("UpdateFunctionConfiguration", _update_function_configuration),
    Action("GetFunction", _get_function),
    Action("ListFunctions", _list_functions),
    Action("DeleteFunction", _delete_function),
    Action("PublishVersion", _publish_version),
    Action("ListVersionByFunction", _list_versions),
    Action("ListTriggers", _list_triggers),
)
