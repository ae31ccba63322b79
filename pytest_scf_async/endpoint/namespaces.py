"""The actions about namespaces, and how often invocations of a function are tried again.

Documents 34413, 37158, 37159, 37160 and 41138.
"""

from __future__ import annotations

from typing import Any, Final

from ..runtime import ScfRuntime
from .action import action
from .functions import known_function
from .operations.error_texts import api_error
from .operations.namespaces import NamespacePage
from .parameters import Parameters
from .values import called

# -- namespaces ------------------------------------------------------------------------------------------------------


@action("CreateNamespace", "Namespace! Description ResourceEnv=NamespaceResourceEnv")
def _create_namespace(runtime: ScfRuntime, sent: Parameters) -> None:
    if sent.get("ResourceEnv"):
        raise api_error("UnsupportedOperation", what="A namespace with a ResourceEnv, which is a cluster, here")
    called(runtime.create_namespace, sent, name=sent["Namespace"])


@action("UpdateNamespace", "Namespace! Description!")
def _update_namespace(runtime: ScfRuntime, sent: Parameters) -> None:
    runtime.update_namespace(sent["Namespace"], sent["Description"])


@action("DeleteNamespace", "Namespace!")
def _delete_namespace(runtime: ScfRuntime, sent: Parameters) -> None:
    runtime.delete_namespace(sent["Namespace"])


@action("ListNamespaces", "Limit=Integer Offset=Integer Orderby Order SearchKey=[SearchKey]")
def _list_namespaces(runtime: ScfRuntime, sent: Parameters) -> NamespacePage:
    keys = {each["Key"]: each["Value"] for each in sent.get("SearchKey", [])}
    return called(runtime.list_namespaces, sent, search_key=keys)


# -- how often invocations are tried again -----------------------------------------------------------------------------

RETRY_INTERVAL: Final = 60
"""Seconds between two attempts (document 41138)."""


@action("GetFunctionEventInvokeConfig", "FunctionName! Namespace Qualifier")
def _get_event_invoke_config(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    function = known_function(runtime, sent)
    if "Qualifier" in sent:
        runtime.get_function(function.name, namespace=function.namespace, qualifier=sent["Qualifier"])
    config = function.event_invoke_config
    return {
        "AsyncTriggerConfig": {
            "RetryConfig": [
                {"ErrorCode": ["default"], "RetryNum": config.retry_num, "RetryInterval": RETRY_INTERVAL},
                {"ErrorCode": ["432"], "RetryNum": -1, "RetryInterval": RETRY_INTERVAL},
            ],
            "MsgTTL": config.msg_ttl,
        }
    }


@action("UpdateFunctionEventInvokeConfig", "AsyncTriggerConfig!=AsyncTriggerConfig FunctionName! Namespace")
def _update_event_invoke_config(runtime: ScfRuntime, sent: Parameters) -> None:
    config = sent["AsyncTriggerConfig"]
    retries = config.get("RetryConfig", [])
    if len(retries) > 1:
        valid = "it must have one RetryConfig, for errors of the function"
        raise api_error("InvalidParameterValue.AsyncTriggerConfig", name="RetryConfig", value=retries, valid=valid)
    known_function(runtime, sent).update_event_invoke_config(
        retry_num=retries[0]["RetryNum"] if retries else None, msg_ttl=config.get("MsgTTL")
    )
