"""The actions about namespaces, and how often invocations of a function are tried again.

Documents 34413, 37158, 37159, 37160 and 41138.
"""

from __future__ import annotations

from typing import Any, Final

from ..runtime import ScfRuntime
from .action import Action
from .functions import known_function
from .operations.error_texts import api_error
from .parameters import Parameters
from .values import answered, keywords

# -- namespaces ------------------------------------------------------------------------------------------------------


def _create_namespace(runtime: ScfRuntime, sent: Parameters) -> None:
    if sent.get("ResourceEnv"):
        raise api_error("UnsupportedOperation", what="A namespace with a ResourceEnv, which is a cluster, here")
    runtime.create_namespace(sent["Namespace"], sent.get("Description", ""))


def _update_namespace(runtime: ScfRuntime, sent: Parameters) -> None:
    runtime.update_namespace(sent["Namespace"], sent["Description"])


def _delete_namespace(runtime: ScfRuntime, sent: Parameters) -> None:
    runtime.delete_namespace(sent["Namespace"])


def _list_namespaces(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    keys = {each["Key"]: each["Value"] for each in sent.get("SearchKey", [])}
    page = runtime.list_namespaces(search_key=keys, **keywords(sent, "Limit", "Offset", "Orderby", "Order"))
    return answered(page, runtime.settings.time_zone)


NAMESPACE_ACTIONS: Final = (
    Action("CreateNamespace", _create_namespace),
    Action("UpdateNamespace", _update_namespace),
    Action("DeleteNamespace", _delete_namespace),
    Action("ListNamespaces", _list_namespaces),
)

# -- how often invocations are tried again -----------------------------------------------------------------------------

RETRY_INTERVAL: Final = 60
"""Seconds between two attempts (document 41138)."""


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


def _update_event_invoke_config(runtime: ScfRuntime, sent: Parameters) -> None:
    config = sent["AsyncTriggerConfig"]
    retries = config.get("RetryConfig", [])
    if len(retries) > 1:
        valid = "it must have one RetryConfig, for errors of the function"
        raise api_error("InvalidParameterValue.AsyncTriggerConfig", name="RetryConfig", value=retries, valid=valid)
    known_function(runtime, sent).update_event_invoke_config(
        retry_num=retries[0]["RetryNum"] if retries else None, msg_ttl=config.get("MsgTTL")
    )


EVENT_INVOKE_ACTIONS: Final = (
    Action("GetFunctionEventInvokeConfig", _get_event_invoke_config),
    Action("UpdateFunctionEventInvokeConfig", _update_event_invoke_config),
)
