"""The actions that the endpoint has, by name, and the names of those of SCF that it does not have."""

from __future__ import annotations

from typing import Final

from . import aliases, async_events, functions, invocations, namespaces, timers  # noqa: F401  (each adds its own)
from .action import ACTIONS

__all__ = ["ACTIONS", "OTHER_ACTIONS"]

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
).difference(ACTIONS)
"""Actions of SCF that the endpoint does not have; one that it comes to have need not be taken out."""
