"""CreateFunction, GetFunction and the others about functions, their versions and triggers.

Documents 18586, 18584, 18582, 18581, 18580, 18585, 34415, 36153 and 89728.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ..function import Function
from ..model.listing import check_choice, check_limit, check_offset, page_of
from ..runtime import ScfRuntime
from .action import action
from .operations.error_texts import api_error
from .operations.functions import FunctionDetails, switch
from .parameters import Parameters
from .requests import STRUCTS
from .values import answered, called, second

_CODE: Final = ("ZipFile", "CosBucketName", "CosObjectName", "CosBucketRegion")
"""What code may have; buckets of all regions are in one directory."""

# -- what there is ---------------------------------------------------------------------------------------------------


def known_function(runtime: ScfRuntime, sent: Parameters) -> Function:
    """The function that *sent* names; raises ``ScfApiError``, as every action does where there is none."""
    return runtime.function(sent["FunctionName"], sent.get("Namespace", "default"))


def _environment(sent: Parameters) -> dict[str, str] | None:
    """The variables that were sent; None where none were."""
    if "Environment" not in sent:
        return None
    variables = [(each.get("Key", ""), each.get("Value", "")) for each in sent["Environment"].get("Variables", [])]
    return {key: value for key, value in variables if key or value}  # clients clear them with an empty one


def _with_code(sent: Parameters) -> Parameters:
    """What was *sent*, with that of its Code; refuses the ways to send code for which a cloud is needed."""
    code = sent.get("Code", {})
    for name in code:
        if name not in _CODE and code[name]:
            what = f"Code with {name} (only with ZipFile, or with CosBucketName and CosObjectName)"
            raise api_error("UnsupportedOperation", what=what)
    return {**sent, **code}


def shown_trigger(row: Mapping[str, Any], runtime: ScfRuntime) -> dict[str, Any]:
    """What is answered of a trigger, its times as the platform writes them."""
    zone = runtime.settings.time_zone
    return {name: second(value, zone) if isinstance(value, datetime) else value for name, value in row.items()}


def _clears_layers(sent: Parameters) -> bool:
    """Whether it does: clients do so with a layer without a name. Refuses layers, as nothing can publish some here."""
    if any(layer["LayerName"] for layer in sent.get("Layers", [])):
        raise api_error("UnsupportedOperation", what="A function with Layers, which nothing can publish here,")
    return "Layers" in sent


def _also(sent: Parameters, struct: str) -> dict[str, Any]:
    """What was sent of *struct*: it changes nothing here, and GetFunction gives it back."""
    return {name: sent[name] for name in STRUCTS[struct].fields if name in sent}


# -- actions ---------------------------------------------------------------------------------------------------------


@action(
    "CreateFunction",
    "FunctionName! Code=Code Handler Description Runtime Namespace Type CodeSource AsyncRunEnable TraceEnable "
    "AutoDeployClsTopicIndex AutoCreateClsTopic MemorySize=Integer Timeout=Integer "
    "InitTimeout=Integer Environment=Environment Layers=[LayerVersionSimple] *AlsoCreated",
)
def _create_function(runtime: ScfRuntime, sent: Parameters) -> None:
    _clears_layers(sent)
    called(runtime.create_function, _with_code(sent), environment=_environment(sent), also=_also(sent, "AlsoCreated"))


@action(
    "UpdateFunctionCode",
    "FunctionName! Handler CosBucketName CosObjectName ZipFile Namespace CosBucketRegion InstallDependency "
    "EnvId Publish CodeSource Code=Code",
)
def _update_function_code(runtime: ScfRuntime, sent: Parameters) -> None:
    called(runtime.update_function_code, _with_code(sent), also=_also(sent, "AlsoTaken"))


@action(
    "UpdateFunctionConfiguration",
    "FunctionName! Description Runtime Namespace Publish TraceEnable MemorySize=Integer "
    "Timeout=Integer InitTimeout=Integer IgnoreSysLog=Boolean Environment=Environment "
    "Layers=[LayerVersionSimple] *AlsoTaken",
)
def _update_function_configuration(runtime: ScfRuntime, sent: Parameters) -> None:
    clears_layers = _clears_layers(sent)
    function = known_function(runtime, sent)
    if sent.get("Runtime", function.configuration.runtime) != function.configuration.runtime:
        valid = f"the runtime of a function cannot be changed, and it is {function.configuration.runtime}"
        raise api_error("InvalidParameterValue.Runtime", value=sent["Runtime"], valid=valid)
    layers = () if clears_layers and function.configuration.layers else None
    also = _also(sent, "AlsoTaken")
    called(runtime.update_function_configuration, sent, environment=_environment(sent), layers=layers, also=also)


@action("GetFunction", "FunctionName! Qualifier Namespace ShowCode")
def _get_function(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    return _details(called(runtime.get_function, sent), runtime)


def _details(details: FunctionDetails, runtime: ScfRuntime) -> dict[str, Any]:
    configuration = details.configuration
    return {
        **answered(details, runtime.settings.time_zone, besides=("configuration", "versions", "also")),
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
        "Triggers": [
            shown_trigger(row, runtime)
            for row in runtime.function(configuration.name, configuration.namespace)._triggers()
        ],
        "Layers": [],
        **details.also,
    }


@action("ListFunctions", "Order Orderby SearchKey Namespace Description Offset=Integer Limit=Integer Filters=[Filter]")
def _list_functions(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    filters = {each["Name"]: each.get("Values", []) for each in sent.get("Filters", [])}
    page = called(runtime.list_functions, sent, filters=filters)
    return {
        "TotalCount": page.total_count,
        "Functions": [
            {
                **answered(row, runtime.settings.time_zone),
                "StatusDesc": "",
                "StatusReasons": [],
                "Tags": [{"Key": key, "Value": value} for key, value in row.tags.items()],
                "ReservedConcurrencyMem": None,
                "TotalProvisionedConcurrencyMem": 0,
            }
            for row in page.functions
        ],
    }


@action("DeleteFunction", "FunctionName! Namespace Qualifier")
def _delete_function(runtime: ScfRuntime, sent: Parameters) -> None:
    called(known_function(runtime, sent).delete, sent)


@action("PublishVersion", "FunctionName! Description Namespace")
def _publish_version(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    function = known_function(runtime, sent)
    version = called(function.publish_version, sent)
    details = _details(runtime.get_function(function.name, namespace=function.namespace, qualifier=version), runtime)
    names = ("FunctionVersion", "CodeSize", "MemorySize", "Description", "Handler", "Timeout", "Runtime", "Namespace")
    return {name: details[name] for name in names}


@action("ListVersionByFunction", "FunctionName! Namespace Order OrderBy Offset=Integer Limit=Integer")
def _list_versions(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    page = called(known_function(runtime, sent).list_versions, sent)
    return {
        "FunctionVersion": [row.version for row in page.versions],
        **answered(page, runtime.settings.time_zone),
    }


_TRIGGER_KEYS: Final = {"add_time": "AddTime", "mod_time": "ModTime"}
_TRIGGER_FILTERS: Final = ("Qualifier", "TriggerName", "Description")


@action("ListTriggers", "FunctionName! Namespace OrderBy Order Offset=Integer Limit=Integer Filters=[Filter]")
def _list_triggers(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    rows = known_function(runtime, sent)._triggers()
    order, order_by = sent.get("Order", "DESC"), sent.get("OrderBy", "mod_time")
    offset, limit = sent.get("Offset", 0), sent.get("Limit", 20)
    check_choice("InvalidParameterValue.Order", order, ("ASC", "DESC"), name="Order")
    check_choice("InvalidParameterValue.OrderBy", order_by, tuple(_TRIGGER_KEYS))
    check_limit(limit)
    check_offset(offset)
    for each in sent.get("Filters", []):
        if each["Name"] not in _TRIGGER_FILTERS:
            valid = f"its names must be among {', '.join(_TRIGGER_FILTERS)}"
            raise api_error("InvalidParameterValue.Filters", value=each["Name"], valid=valid)
        rows = [row for row in rows if row[each["Name"]] in each.get("Values", [])]
    rows.sort(key=lambda row: row[_TRIGGER_KEYS[order_by]])
    page = page_of(rows, order, offset, limit)
    return {"TotalCount": len(rows), "Triggers": [shown_trigger(row, runtime) for row in page]}
