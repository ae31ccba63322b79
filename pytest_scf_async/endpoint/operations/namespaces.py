"""What ListNamespaces answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ...clock import to_datetime
from ...model.listing import check_choice, check_limit, check_offset, check_pairs, check_part, page_of
from ...model.namespaces import Namespace


@dataclass(frozen=True)
class NamespaceDetails:
    """One row of ListNamespaces."""

    name: str
    description: str
    add_time: datetime
    mod_time: datetime
    namespace_type: str = "default"


@dataclass(frozen=True)
class NamespacePage:
    """The answer of ``list_namespaces``: ``total_count`` namespaces pass the filter, and this is one page of them."""

    total_count: int
    namespaces: list[NamespaceDetails]


def namespace_page(
    namespaces: Iterable[Namespace],
    *,
    order: str,
    orderby: str | None,
    offset: int,
    limit: int,
    search_key: Mapping[str, str],
) -> NamespacePage:
    """One page of *namespaces*, which are in the order in which they were made, and stay in it without *orderby*.

    Raises ScfApiError ``InvalidParameterValue.Order`` (for orderby too), ``.Limit``, ``.Offset``, ``.SearchKey``.
    """
    check_choice("InvalidParameterValue.Order", order, ("ASC", "DESC"), name="Order")
    if orderby is not None:
        check_choice("InvalidParameterValue.Order", orderby, tuple(_KEYS), name="Orderby")
    check_limit(limit)
    check_offset(offset)
    check_pairs("InvalidParameterValue.SearchKey", search_key)
    for name, text in search_key.items():
        check_choice("InvalidParameterValue.SearchKey", name, tuple(_SEARCHED))
        check_part(name, text)
    rows = [
        NamespaceDetails(each.name, each.description, to_datetime(each.added_us), to_datetime(each.modified_us))
        for each in namespaces
    ]
    rows = [row for row in rows if all(text in _SEARCHED[name](row) for name, text in search_key.items())]
    if orderby is not None:
        rows.sort(key=_KEYS[orderby])
    return NamespacePage(len(rows), page_of(rows, order, offset, limit))


_KEYS: Final[Mapping[str, Callable[[NamespaceDetails], Any]]] = {
    "Name": lambda row: row.name,
    "Updatetime": lambda row: row.mod_time,
}
"""What ``Orderby`` sorts by."""
_SEARCHED: Final[Mapping[str, Callable[[NamespaceDetails], str]]] = {
    "Namespace": lambda row: row.name,
    "Description": lambda row: row.description,
}
"""What each ``SearchKey`` compares."""
