"""The calls of ``Function`` that are operations of the platform: on versions, aliases and asynchronous invocations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

from ...clock import to_datetime
from ...errors import calls_named, hidden_from_users
from ...instances.function_version import FunctionVersion
from ...model.event_invoke import LONGEST_TTL, MOST_RETRIES, EventInvokeConfig
from ...model.listing import check_choice, check_limit, check_offset, page_of
from ...model.versions import LATEST, Versions
from .aliases import AliasDetails, Aliases, AliasPage
from .checks import check_description
from .error_texts import api_error
from .routing import RoutingConfig
from .versions import VERSION_KEYS, VersionDetails, VersionPage, description_of

__tracebackhide__ = hidden_from_users


class Versioned(Protocol):
    """What the operations ask of the function that has them."""

    _event_invoke: EventInvokeConfig
    _versions: Versions[FunctionVersion]

    @property
    def _platform(self) -> Any:
        """The runtime, which has the `RuntimeOperations`."""

    @cached_property
    def _aliases(self) -> Aliases: ...
    def _require(self) -> None: ...
    def _require_active(self, code: str = ...) -> None: ...
    def _becomes(self, state: str, until_us: int) -> None: ...
    def _status_of(self, version: FunctionVersion) -> str: ...
    def _use_event_invoke(self, config: EventInvokeConfig) -> None: ...


@calls_named
class FunctionOperations:
    """The operations that ``Function`` has as calls."""

    @cached_property
    def _aliases(self: Versioned) -> Aliases:
        """Made when an operation needs them: until then there is ``$DEFAULT`` alone."""
        versions = self._versions
        return Aliases(versions, versions.latest.added_us, self._platform._random_of_routes.random)

    @cached_property
    def _also_taken(self) -> dict[str, Mapping[str, Any]]:
        """By version, what operations took of `also_taken`."""
        return defaultdict(dict)

    def _take_also(self, taken: Mapping[str, Any]) -> None:
        """``$LATEST`` has *taken*, and what it had before besides."""
        self._also_taken[LATEST] = {**self._also_taken[LATEST], **taken}

    def _triggers(self) -> list[dict[str, Any]]:
        """What GetFunction and ListTriggers say of its triggers; none, unless a wing has some."""
        return []

    @property
    def description(self: Versioned) -> str:
        """The description that GetFunction returns."""
        return self._versions.latest.configuration.description

    @property
    def added_at(self: Versioned) -> datetime:
        """The time at which it was deployed: an aware ``datetime`` of simulated time."""
        return to_datetime(self._versions.latest.added_us)

    @property
    def modified_at(self: Versioned) -> datetime:
        """The time at which it was deployed, or last updated."""
        return to_datetime(self._versions.latest.modified_us)

    @property
    def versions(self: Versioned) -> list[str]:
        """``$LATEST`` and the published versions, newest first."""
        return self._versions.numbers

    @property
    def aliases(self: Versioned) -> dict[str, str]:
        """The version that each alias points to; every function has the alias ``$DEFAULT``."""
        return self._aliases.versions

    def publish_version(self: Versioned, description: str = "") -> str:
        """PublishVersion (document 34415): keep ``$LATEST`` as it is now, and give its number: "1", "2", …

        Raises ``ScfApiError`` ``InvalidParameterValue.Description`` for more than 1,000 characters.
        """
        self._require()
        check_description(description)
        number: str = self._platform._publish(self, description)
        return number

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
        before = self._event_invoke
        self._use_event_invoke(
            EventInvokeConfig(
                _checked("RetryNum", before.retry_num if retry_num is None else retry_num, 0, MOST_RETRIES),
                _checked("MsgTTL", before.msg_ttl if msg_ttl is None else msg_ttl, 1, LONGEST_TTL),
            )
        )

    def list_versions(
        self: Versioned, *, order: str | None = None, order_by: str = "AddTime", offset: int = 0, limit: int = 20
    ) -> VersionPage:
        """ListVersionByFunction (document 37162): one page of its versions with their times.

        ``$LATEST`` comes first and then the newest, unless *order* is ``"ASC"`` or ``"DESC"``: then it is by
        *order_by*, ``"AddTime"`` or ``"ModTime"``. Raises ``ScfApiError``: ``InvalidParameterValue.Order``,
        ``.OrderBy``, ``.Limit``, ``.Offset``.
        """
        self._require()
        if order is not None:
            check_choice("InvalidParameterValue.Order", order, ("ASC", "DESC"), name="Order")
        check_choice("InvalidParameterValue.OrderBy", order_by, tuple(VERSION_KEYS))
        check_limit(limit)
        check_offset(offset)
        rows = [
            VersionDetails(
                version=version.version,
                description=description_of(version),
                add_time=to_datetime(version.added_us),
                mod_time=to_datetime(version.modified_us),
                status=self._status_of(version),
            )
            for version in self._versions.all
        ]
        if order is None:
            rows = [*rows[1:], rows[0]]
        else:
            rows.sort(key=VERSION_KEYS[order_by])
        return VersionPage(len(rows), page_of(rows, order or "DESC", offset, limit))

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
        now_us = self._platform.clock.now_us
        self._aliases.create(name, version, description=description, routing=routing_config, now_us=now_us)

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
        now_us = self._platform.clock.now_us
        self._aliases.update(name, version, description=description, routing=routing_config, now_us=now_us)

    def get_alias(self: Versioned, name: str) -> AliasDetails:
        """GetAlias: what the alias stands for, with its times. Raises ``ScfApiError`` ``ResourceNotFound.Alias``."""
        self._require()
        return self._aliases.get(name).details

    def list_aliases(self: Versioned, *, version: str | None = None, offset: int = 0, limit: int = 20) -> AliasPage:
        """ListAliases: one page of its aliases in the order in which they were made, ``$DEFAULT`` first.

        *version* leaves those out that never stand for it. Raises ``ScfApiError``: ``InvalidParameterValue.Limit``,
        ``InvalidParameterValue.Offset``.
        """
        self._require()
        check_limit(limit)
        check_offset(offset)
        rows = [alias.details for alias in self._aliases.all(version)]
        return AliasPage(len(rows), page_of(rows, "ASC", offset, limit))

    def delete_alias(self: Versioned, name: str) -> None:
        """DeleteAlias: the version that it points to stays.

        Raises ``ScfApiError``: ``ResourceNotFound.Alias``, and ``FailedOperation.DeleteAlias`` for ``$DEFAULT``.
        """
        self._require()
        self._aliases.delete(name)


def _checked(name: str, value: object, least: int, most: int) -> int:
    valid = f"it must be a whole number from {least} to {most:,}"
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise api_error("InvalidParameterValue.AsyncTriggerConfig", name=name, value=value, valid=valid)
    if value > most:
        raise api_error(f"LimitExceeded.{name}", value=value, valid=valid)
    return value
