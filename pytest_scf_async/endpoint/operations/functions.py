"""What GetFunction, ListFunctions, ListVersionByFunction, ListAliases and GetAlias answer.

Documents 18584, 18582, 37162, 36149.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ...clock import to_datetime
from ...instances.code import size_of
from ...instances.function_version import FunctionVersion
from ...model.codes import api_error
from ...model.configuration import FunctionConfiguration
from ...model.listing import check_choice, check_limit, check_offset, check_pairs, check_part, page_of
from ...model.routing import RoutingConfig
from ...model.versions import LATEST, Alias

EVENT_FUNCTION: Final = "Event"
AVAILABLE: Final = "Available"
MOST_FILTERS: Final = 10
MOST_VALUES: Final = 20
_OTHER_FILTERS: Final = (
    *("VpcId", "SubnetId", "ClsTopicId", "ClsLogsetId", "Role", "CfsId", "CfsMountInsId", "Eip"),
    *("PublicNetStatus", "Stamp"),
)
"""What the platform filters by and functions here do not have."""


@dataclass(frozen=True)
class FunctionDetails:
    """The answer of GetFunction (document 18584): a function, and one version of it."""

    function_id: str
    function_name: str
    namespace: str
    function_version: str
    description: str
    status: str
    available_status: str
    function_type: str
    code_size: int
    """Bytes of the files of its code; 0 of an image."""
    add_time: datetime
    mod_time: datetime
    configuration: FunctionConfiguration
    versions: list[str]
    """``$LATEST`` and the published versions, newest first."""


@dataclass(frozen=True)
class FunctionSummary:
    """One row of ListFunctions (document 18582)."""

    function_id: str
    function_name: str
    namespace: str
    description: str
    runtime: str
    status: str
    function_type: str
    async_run: bool
    trace: bool
    add_time: datetime
    mod_time: datetime


@dataclass(frozen=True)
class FunctionPage:
    """The answer of ``list_functions``: ``total_count`` functions pass the filters, and this is one page of them."""

    total_count: int
    functions: list[FunctionSummary]


@dataclass(frozen=True)
class VersionDetails:
    """One version of a function."""

    version: str
    description: str
    add_time: datetime
    mod_time: datetime
    status: str


@dataclass(frozen=True)
class VersionPage:
    """The answer of ``list_versions``: the function has ``total_count`` versions, and this is one page of them."""

    total_count: int
    versions: list[VersionDetails]


@dataclass(frozen=True)
class AliasDetails:
    """An alias: the answer of GetAlias, and one row of ListAliases."""

    name: str
    function_version: str
    description: str
    routing_config: RoutingConfig
    add_time: datetime
    mod_time: datetime


@dataclass(frozen=True)
class AliasPage:
    """The answer of ``list_aliases``: ``total_count`` aliases pass the filter, and this is one page of them."""

    total_count: int
    aliases: list[AliasDetails]


# -- functions -------------------------------------------------------------------------------------------------------


def function_details(version: FunctionVersion, function_id: str, status: str, versions: list[str]) -> FunctionDetails:
    """What GetFunction says of *version* of a function that has these *versions*."""
    configuration = version.configuration
    return FunctionDetails(
        function_id=function_id,
        function_name=configuration.name,
        namespace=configuration.namespace,
        function_version=version.version,
        description=_description(version),
        status=status,
        available_status=AVAILABLE,
        function_type=EVENT_FUNCTION,
        code_size=size_of(version.code) if configuration.deployed_by == "deploy" else 0,
        add_time=to_datetime(version.added_us),
        mod_time=to_datetime(version.modified_us),
        configuration=configuration,
        versions=versions,
    )


def function_page(
    functions: Iterable[FunctionSummary],
    *,
    order: str,
    orderby: str,
    offset: int,
    limit: int,
    search_key: str | None,
    description: str | None,
    filters: Mapping[str, Sequence[str]],
) -> FunctionPage:
    """One page of *functions*, which are in the order in which they were made.

    Raises ScfApiError ``InvalidParameterValue.Order`` (for orderby too), ``.Limit``, ``.Offset``, ``.Filters``.
    """
    check_choice("InvalidParameterValue.Order", order, ("ASC", "DESC"), name="Order")
    check_choice("InvalidParameterValue.Order", orderby, tuple(_FUNCTION_KEYS), name="Orderby")
    check_limit(limit)
    check_offset(offset)
    check_part("SearchKey", search_key)
    check_part("Description", description)
    check_pairs("InvalidParameterValue.Filters", filters)
    wanted = _checked_filters(filters)
    rows = [
        row
        for row in functions
        if (search_key or "") in row.function_name
        and (description or "") in row.description
        and all(_FILTERS[name](row) in values for name, values in wanted.items())
    ]
    rows.sort(key=_FUNCTION_KEYS[orderby])
    return FunctionPage(len(rows), page_of(rows, order, offset, limit))


def function_summary(latest: FunctionVersion, function_id: str, status: str) -> FunctionSummary:
    """What ListFunctions says of a function whose ``$LATEST`` is *latest*."""
    configuration = latest.configuration
    return FunctionSummary(
        function_id=function_id,
        function_name=configuration.name,
        namespace=configuration.namespace,
        description=configuration.description,
        runtime=configuration.runtime,
        status=status,
        function_type=EVENT_FUNCTION,
        async_run=configuration.async_run,
        trace=configuration.trace,
        add_time=to_datetime(latest.added_us),
        mod_time=to_datetime(latest.modified_us),
    )


def _checked_filters(filters: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    if len(filters) > MOST_FILTERS:
        raise api_error("InvalidParameterValue.Filters", value=len(filters), valid=f"{MOST_FILTERS} are the most")
    for name, values in filters.items():
        if name not in _FILTERS:
            valid = f"valid are {', '.join(_FILTERS)}"
            raise api_error("InvalidParameterValue.Filters", value=name, valid=valid)
        if not _is_list(values) or not 1 <= len(values) <= MOST_VALUES:
            valid = f"it must have 1 to {MOST_VALUES} values"
            raise api_error("InvalidParameterValue.Filters", value=name, valid=valid)
    return {name: tuple(values) for name, values in filters.items()}


def _is_list(values: object) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, (str, bytes))


_FUNCTION_KEYS: Final[Mapping[str, Callable[[FunctionSummary], Any]]] = {
    "AddTime": lambda row: row.add_time,
    "ModTime": lambda row: row.mod_time,
    "FunctionName": lambda row: row.function_name,
}
"""What ``Orderby`` of ListFunctions sorts by."""
_FILTERS: Final[Mapping[str, Callable[[FunctionSummary], str]]] = {
    "Status": lambda row: row.status,
    "Runtime": lambda row: row.runtime,
    "Type": lambda row: row.function_type,
    "AsyncRunEnable": lambda row: switch(row.async_run),
    "TraceEnable": lambda row: switch(row.trace),
    **dict.fromkeys(_OTHER_FILTERS, lambda _: ""),
}
"""What each filter of ListFunctions compares."""


def switch(on: bool) -> str:
    """What the platform writes for a switch."""
    return "TRUE" if on else "FALSE"


# -- versions and aliases --------------------------------------------------------------------------------------------


def version_page(
    versions: Sequence[FunctionVersion],
    status_of: Callable[[FunctionVersion], str],
    *,
    order: str | None,
    order_by: str,
    offset: int,
    limit: int,
) -> VersionPage:
    """One page of *versions*: ``$LATEST``, and the published ones, oldest first.

    Without an *order* ``$LATEST`` comes first, then the newest. Raises ScfApiError ``InvalidParameterValue.Order``,
    ``.OrderBy``, ``.Limit``, ``.Offset``.
    """
    if order is not None:
        check_choice("InvalidParameterValue.Order", order, ("ASC", "DESC"), name="Order")
    check_choice("InvalidParameterValue.OrderBy", order_by, tuple(_VERSION_KEYS))
    check_limit(limit)
    check_offset(offset)
    rows = [
        VersionDetails(
            version=version.version,
            description=_description(version),
            add_time=to_datetime(version.added_us),
            mod_time=to_datetime(version.modified_us),
            status=status_of(version),
        )
        for version in versions
    ]
    if order is None:
        rows = [*rows[1:], rows[0]]
    else:
        rows.sort(key=_VERSION_KEYS[order_by])
    return VersionPage(len(rows), page_of(rows, order or "DESC", offset, limit))


_VERSION_KEYS: Final[Mapping[str, Callable[[VersionDetails], datetime]]] = {
    "AddTime": lambda row: row.add_time,
    "ModTime": lambda row: row.mod_time,
}
"""What ``OrderBy`` of ListVersionByFunction sorts by."""


def alias_details(alias: Alias) -> AliasDetails:
    """What GetAlias says of *alias*."""
    return AliasDetails(
        name=alias.name,
        function_version=alias.version,
        description=alias.description,
        routing_config=alias.routing,
        add_time=to_datetime(alias.added_us),
        mod_time=to_datetime(alias.modified_us),
    )


def alias_page(aliases: Iterable[Alias], *, offset: int, limit: int) -> AliasPage:
    """One page of *aliases* in their order. Raises ScfApiError ``InvalidParameterValue.Limit`` and ``.Offset``."""
    check_limit(limit)
    check_offset(offset)
    rows = [alias_details(alias) for alias in aliases]
    return AliasPage(len(rows), page_of(rows, "ASC", offset, limit))


def _description(version: FunctionVersion) -> str:
    """A published version has one of its own, ``$LATEST`` the function's."""
    return version.configuration.description if version.version == LATEST else version.description
