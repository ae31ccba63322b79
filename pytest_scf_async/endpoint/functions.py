"""CreateFunction, GetFunction and the others about functions, their versions and triggers.

Documents 18586, 18584, 18582, 18581, 18580, 18585, 34415, 36153 and 89728.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..function import Function
from ..runtime import ScfRuntime
from .action import action
from .operations.error_texts import api_error
from .operations.functions import FunctionDetails, switch
from .parameters import Parameters
from .values import answered, called

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


@action(
    "CreateFunction",
    "FunctionName! Code=Code Handler Description Runtime Namespace Type CodeSource AsyncRunEnable TraceEnable "
    "AutoDeployClsTopicIndex AutoCreateClsTopic ProtocolType MemorySize=Integer Timeout=Integer "
    "InitTimeout=Integer Environment=Environment Tags=[Tag] Layers=[LayerVersionSimple] *AlsoTaken",
)
def _create_function(runtime: ScfRuntime, sent: Parameters) -> None:
    _refuse_layers(sent)
    zip_file = _zip_file(sent.get("Code", {}))
    called(runtime.create_function, sent, zip_file=zip_file, environment=_environment(sent))


@action(
    "UpdateFunctionCode",
    "FunctionName! Handler CosBucketName CosObjectName ZipFile Namespace CosBucketRegion InstallDependency "
    "EnvId Publish CodeSource Code=Code",
)
def _update_function_code(runtime: ScfRuntime, sent: Parameters) -> None:
    at_top = {name: sent[name] for name in ("ZipFile", "CosBucketName", "CosObjectName") if name in sent}
    called(runtime.update_function_code, sent, zip_file=_zip_file(sent.get("Code", at_top)))


@action(
    "UpdateFunctionConfiguration",
    "FunctionName! Description Runtime Namespace Publish L5Enable TraceEnable MemorySize=Integer "
    "Timeout=Integer InitTimeout=Integer IgnoreSysLog=Boolean Environment=Environment "
    "Layers=[LayerVersionSimple] *AlsoTaken",
)
def _update_function_configuration(runtime: ScfRuntime, sent: Parameters) -> None:
    _refuse_layers(sent)
    function = known_function(runtime, sent)
    if sent.get("Runtime", function.configuration.runtime) != function.configuration.runtime:
        valid = f"the runtime of a function cannot be changed, and it is {function.configuration.runtime}"
        raise api_error("InvalidParameterValue.Runtime", value=sent["Runtime"], valid=valid)
    called(runtime.update_function_configuration, sent, environment=_environment(sent))


@action("GetFunction", "FunctionName! Qualifier Namespace ShowCode")
def _get_function(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    return _details(called(runtime.get_function, sent), runtime)


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


@action("ListFunctions", "Order Orderby SearchKey Namespace Description Offset=Integer Limit=Integer Filters=[Filter]")
def _list_functions(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    filters = {each["Name"]: each.get("Values", []) for each in sent.get("Filters", [])}
    page = called(runtime.list_functions, sent, filters=filters)
    return {
        "TotalCount": page.total_count,
        "Functions": [
            {**answered(row, runtime.settings.time_zone), "StatusDesc": "", "StatusReasons": [], "Tags": []}
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


@action("ListTriggers", "FunctionName! Namespace OrderBy Order Offset=Integer Limit=Integer Filters=[Filter]")
def _list_triggers(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    known_function(runtime, sent)
    return {"TotalCount": 0, "Triggers": []}
