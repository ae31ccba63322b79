"""The calls of ``Function`` that are operations of the platform: on versions, aliases and asynchronous invocations."""

from __future__ import annotations

from typing import Protocol

from ...errors import calls_named, hidden_from_users
from ...instances.function_version import FunctionVersion
from ...model.event_invoke import EventInvokeConfig, changed_event_invoke
from ...model.routing import RoutingConfig
from ...model.versions import Versions
from .functions import AliasDetails, AliasPage, VersionPage, alias_details, alias_page, version_page

__tracebackhide__ = hidden_from_users


class Now(Protocol):
    """What is asked of the runtime of a function."""

    def _now_us(self) -> int: ...


class Versioned(Protocol):
    """What the operations ask of the function that has them."""

    _event_invoke: EventInvokeConfig
    _versions: Versions[FunctionVersion]

    @property
    def _platform(self) -> Now: ...
    def _require(self) -> None: ...
    def _status_of(self, version: FunctionVersion) -> str: ...
    def _use_event_invoke(self, config: EventInvokeConfig) -> None: ...


@calls_named
class FunctionOperations:
    """The operations that ``Function`` has as calls."""

    @property
    def event_invoke_config(self: Versioned) -> EventInvokeConfig:
        """GetFunctionEventInvokeConfig: `.retry_num` and `.msg_ttl` (seconds), 2 and 21,600 unless updated."""
        return self._event_invoke

    def update_event_invoke_config(
        self: Versioned, *, retry_num: int | None = None, msg_ttl: int | None = None
    ) -> None:
        """UpdateFunctionEventInvokeConfig (document 41138): what is not given stays; for invocations from now on.

        *retry_num*, 0 to 2, is how many attempts follow one of a sync function that failed and that nobody waits for;
        *msg_ttl*, 1 to 21,600 seconds, for how long an event over the quota is tried again. Raises ``ScfApiError``:
        ``LimitExceeded.RetryNum``, ``LimitExceeded.MsgTTL``, ``InvalidParameterValue.AsyncTriggerConfig``.
        """
        self._require()
        self._use_event_invoke(changed_event_invoke(self._event_invoke, retry_num, msg_ttl))

    def list_versions(
        self: Versioned, *, order: str | None = None, order_by: str = "AddTime", offset: int = 0, limit: int = 20
    ) -> VersionPage:
        """ListVersionByFunction (document 37162): one page of its versions with their times.

        ``$LATEST`` comes first and then the newest, unless *order* is ``"ASC"`` or ``"DESC"``: then it is by
        *order_by*, ``"AddTime"`` or ``"ModTime"``. Raises ``ScfApiError``: ``InvalidParameterValue.Order``,
        ``.OrderBy``, ``.Limit``, ``.Offset``.
        """
        self._require()
        versions = self._versions.all
        return version_page(versions, self._status_of, order=order, order_by=order_by, offset=offset, limit=limit)

    def create_alias(
        self: Versioned, name: str, version: str, *, description: str = "", routing_config: RoutingConfig | None = None
    ) -> None:
        """CreateAlias (document 44164): *name* stands for *version* in a qualifier.

        With a *routing_config* it stands for an additional version, too: for a part of the invocations, which is drawn
        by the seed of the runtime, or for those whose RoutingKey matches a rule. Raises ``ScfApiError``:
        ``InvalidParameterValue.Name``, ``ResourceInUse.Alias``, ``ResourceNotFound.FunctionVersion``,
        ``InvalidParameterValue.RoutingConfig``, ``InvalidParameterValue.AdditionalVersionWeights``,
        ``InvalidParameterValue.Description``.
        """
        self._require()
        now_us = self._platform._now_us()
        self._versions.create_alias(name, version, description=description, routing=routing_config, now_us=now_us)

    def update_alias(
        self: Versioned,
        name: str,
        version: str,
        *,
        description: str | None = None,
        routing_config: RoutingConfig | None = None,
    ) -> None:
        """UpdateAlias (document 44161); ``$DEFAULT`` too. Events that were accepted before stay on their version.

        A *description* that is not given stays, and an additional version does not. Raises ``ScfApiError``:
        ``ResourceNotFound.Alias``, and those of ``create_alias`` for *version* and what else is given.
        """
        self._require()
        now_us = self._platform._now_us()
        self._versions.update_alias(name, version, description=description, routing=routing_config, now_us=now_us)

    def get_alias(self: Versioned, name: str) -> AliasDetails:
        """GetAlias: what the alias stands for, with its times. Raises ``ScfApiError`` ``ResourceNotFound.Alias``."""
        self._require()
        return alias_details(self._versions.alias(name))

    def list_aliases(self: Versioned, *, version: str | None = None, offset: int = 0, limit: int = 20) -> AliasPage:
        """ListAliases: one page of its aliases in the order in which they were made, ``$DEFAULT`` first.

        *version* leaves those out that never stand for it. Raises ``ScfApiError``: ``InvalidParameterValue.Limit``,
        ``InvalidParameterValue.Offset``.
        """
        self._require()
        return alias_page(self._versions.list_aliases(version), offset=offset, limit=limit)

    def delete_alias(self: Versioned, name: str) -> None:
        """DeleteAlias: the version that it points to stays.

        Raises ``ScfApiError``: ``ResourceNotFound.Alias``, and ``FailedOperation.DeleteAlias`` for ``$DEFAULT``.
        """
        self._require()
        self._versions.delete_alias(name)
