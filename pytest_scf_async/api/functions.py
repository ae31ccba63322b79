"""CreateFunction, GetFunction and the others about functions, their versions and triggers.

Documents 18586, 18584, 18582, 18581, 18580, 18585, 34415, 36153 and 89728.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..function import Function
from ..model.codes import api_error
from ..operations import FunctionDetails
from ..operations.functions import switch
from ..runtime import ScfRuntime
from .action import Action
from .parameters import BOOLEAN, INTEGER, STRING, Field, ListOf, Parameters, Struct, optional, required
from .values import answered, keywords

# -- structs ---------------------------------------------------------------------------------------------------------

VARIABLE: Final = Struct("Variable", *optional(STRING, "Key", "Value"))
ENVIRONMENT: Final = Struct("Environment", *optional(ListOf(VARIABLE), "Variables"))
IMAGE_CONFIG: Final = Struct(
    "ImageConfig",
    *optional(STRING, "ImageType", "ImageUri", "RegistryId", "EntryPoint", "Command", "Args"),
    *optional(BOOLEAN, "ContainerImageAccelerate"),
    *optional(INTEGER, "ImagePort"),
)
CODE: Final = Struct(
    "Code",
    *optional(STRING, "ZipFile", "CosBucketName", "CosObjectName", "CosBucketRegion", "TempCosObjectName", "DemoId"),
    *optional(STRING, "GitUrl", "GitUserName", "GitPassword", "GitPasswordSecret", "GitBranch", "GitDirectory"),
    *optional(STRING, "GitCommitId", "GitUserNameSecret"),
    *optional(IMAGE_CONFIG, "ImageConfig"),
)
FILTER: Final = Struct("Filter", *required(STRING, "Name"), *optional(ListOf(STRING), "Values"))

_ALSO_TAKEN: Final = (
    *optional(STRING, "Role", "InstallDependency", "ClsLogsetId", "ClsTopicId", "DnsCache"),
    *optional(Struct("VpcConfig", *optional(STRING, "VpcId", "SubnetId")), "VpcConfig"),
    *optional(Struct("DeadLetterConfig", *optional(STRING, "Type", "Name", "FilterType")), "DeadLetterConfig"),
    *optional(
        Struct(
            "PublicNetConfigIn",
            *optional(STRING, "PublicNetStatus"),
            *optional(Struct("EipConfigIn", *optional(STRING, "EipStatus")), "EipConfig"),
        ),
        "PublicNetConfig",
    ),
    *optional(
        Struct(
            "CfsConfig",
            *optional(
                ListOf(
                    Struct(
                        "CfsInsInfo",
                        *optional(STRING, "UserId", "UserGroupId", "CfsId", "MountInsId", "LocalMountDir"),
                        *optional(STRING, "RemoteMountDir", "IpAddress", "MountVpcId", "MountSubnetId"),
                    )
                ),
                "CfsInsList",
            ),
        ),
        "CfsConfig",
    ),
    *optional(
        Struct(
            "ProtocolParams",
            *optional(Struct("WSParams", *optional(INTEGER, "IdleTimeOut")), "WSParams"),
        ),
        "ProtocolParams",
    ),
    *optional(
        Struct(
            "InstanceConcurrencyConfig",
            *optional(STRING, "DynamicEnabled", "InstanceIsolationEnabled", "Type"),
            *optional(INTEGER, "MaxConcurrency"),
            *optional(
                ListOf(Struct("MixNodeConfig", *optional(STRING, "NodeSpec"), *optional(INTEGER, "Num"))),
                "MixNodeConfig",
            ),
            *optional(
                Struct(
                    "SessionConfig",
                    *optional(STRING, "SessionSource", "SessionName", "SessionPath", "IdleTimeoutStrategy"),
                    *optional(INTEGER, "MaximumConcurrencySessionPerInstance", "MaximumTTLInSeconds"),
                    *optional(INTEGER, "MaximumIdleTimeInSeconds"),
                ),
                "SessionConfig",
            ),
        ),
        "InstanceConcurrencyConfig",
    ),
    *optional(Struct("IntranetConfigIn", *optional(STRING, "IpFixed")), "IntranetConfig"),
)
"""Parameters of CreateFunction and UpdateFunctionConfiguration that mean nothing to code on this machine: the network,
log topics, roles, file systems, dead letters and what is for web functions. They are taken, and change nothing."""
LAYERS: Final = Field(
    "Layers", ListOf(Struct("LayerVersionSimple", *required(STRING, "LayerName"), *required(INTEGER, "LayerVersion")))
)

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
    Action(
        Struct(
            "CreateFunction",
            *required(STRING, "FunctionName"),
            *optional(CODE, "Code"),
            *optional(STRING, "Handler", "Description", "Runtime", "Namespace", "Type", "CodeSource"),
            *optional(STRING, "AsyncRunEnable", "TraceEnable", "AutoDeployClsTopicIndex", "AutoCreateClsTopic"),
            *optional(STRING, "ProtocolType"),
            *optional(INTEGER, "MemorySize", "Timeout", "InitTimeout"),
            *optional(ENVIRONMENT, "Environment"),
            *optional(ListOf(Struct("Tag", *required(STRING, "Key", "Value"))), "Tags"),
            LAYERS,
            *_ALSO_TAKEN,
        ),
        _create_function,
    ),
    Action(
        Struct(
            "UpdateFunctionCode",
            *required(STRING, "FunctionName"),
            *optional(STRING, "Handler", "CosBucketName", "CosObjectName", "ZipFile", "Namespace", "CosBucketRegion"),
            *optional(STRING, "InstallDependency", "EnvId", "Publish", "CodeSource"),
            *optional(CODE, "Code"),
        ),
        _update_function_code,
    ),
    Action(
        Struct(
            "UpdateFunctionConfiguration",
            *required(STRING, "FunctionName"),
            *optional(STRING, "Description", "Runtime", "Namespace", "Publish", "L5Enable", "TraceEnable"),
            *optional(INTEGER, "MemorySize", "Timeout", "InitTimeout"),
            *optional(BOOLEAN, "IgnoreSysLog"),
            *optional(ENVIRONMENT, "Environment"),
            LAYERS,
            *_ALSO_TAKEN,
        ),
        _update_function_configuration,
    ),
    Action(
        Struct(
            "GetFunction",
            *required(STRING, "FunctionName"),
            *optional(STRING, "Qualifier", "Namespace", "ShowCode"),
        ),
        _get_function,
    ),
    Action(
        Struct(
            "ListFunctions",
            *optional(STRING, "Order", "Orderby", "SearchKey", "Namespace", "Description"),
            *optional(INTEGER, "Offset", "Limit"),
            *optional(ListOf(FILTER), "Filters"),
        ),
        _list_functions,
    ),
    Action(
        Struct("DeleteFunction", *required(STRING, "FunctionName"), *optional(STRING, "Namespace", "Qualifier")),
        _delete_function,
    ),
    Action(
        Struct("PublishVersion", *required(STRING, "FunctionName"), *optional(STRING, "Description", "Namespace")),
        _publish_version,
    ),
    Action(
        Struct(
            "ListVersionByFunction",
            *required(STRING, "FunctionName"),
            *optional(STRING, "Namespace", "Order", "OrderBy"),
            *optional(INTEGER, "Offset", "Limit"),
        ),
        _list_versions,
    ),
    Action(
        Struct(
            "ListTriggers",
            *required(STRING, "FunctionName"),
            *optional(STRING, "Namespace", "OrderBy", "Order"),
            *optional(INTEGER, "Offset", "Limit"),
            *optional(ListOf(FILTER), "Filters"),
        ),
        _list_triggers,
    ),
)
