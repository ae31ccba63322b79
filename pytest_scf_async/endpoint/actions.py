"""The actions that the endpoint has, by name, and the names of those of SCF that it does not have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .action import Action
from .aliases import ALIAS_ACTIONS
from .async_events import ASYNC_EVENT_ACTIONS
from .functions import FUNCTION_ACTIONS
from .invocations import INVOCATION_ACTIONS
from .namespaces import EVENT_INVOKE_ACTIONS, NAMESPACE_ACTIONS

ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {
        action.name: action
        for action in (
            *(*ASYNC_EVENT_ACTIONS, *INVOCATION_ACTIONS, *EVENT_INVOKE_ACTIONS),
            *(*FUNCTION_ACTIONS, *ALIAS_ACTIONS, *NAMESPACE_ACTIONS),
        )
    }
)

OTHER_ACTIONS: Final = frozenset(
    [
        "CopyFunction",
        "CreateCustomDomain",
        "CreateTrigger",
        "DeleteCustomDomain",
        "DeleteFunctionVersion",
        "DeleteLayerVersion",
        "DeleteProvisionedConcurrencyConfig",
        "DeleteReservedConcurrencyConfig",
        "DeleteTrigger",
        "GetAccount",
        "GetCustomDomain",
        "GetFunctionAddress",
        "GetLayerVersion",
        "GetProvisionedConcurrencyConfig",
        "GetReservedConcurrencyConfig",
        "ListCustomDomains",
        "ListLayerVersions",
        "ListLayers",
        "PublishLayerVersion",
        "PutProvisionedConcurrencyConfig",
        "PutReservedConcurrencyConfig",
        "PutTotalConcurrencyConfig",
        "UpdateCustomDomain",
        "UpdateTrigger",
        "UpdateTriggerStatus",
    ]
)
"""Actions of SCF that the endpoint does not have."""
