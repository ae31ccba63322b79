"""The operations on namespaces (documents 34413, 37159): ``default`` is always there, and stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from ...clock import to_datetime
from ...errors import calls_named, hidden_from_users
from ...model.configuration import DEFAULT_NAMESPACE, NAME_RULE, is_valid_name
from ...model.listing import check_choice, check_limit, check_offset, page_of
from .checks import check_description, check_pairs, check_part
from .error_texts import api_error
from .platform import Platform

__tracebackhide__ = hidden_from_users


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


@calls_named
class OperationsOnNamespaces:
    """Those that ``ScfRuntime`` has as calls."""

    @cached_property
    def _described(self) -> dict[str, tuple[str, int]]:
        """The description of each namespace that an operation has made or changed, and when it did that last."""
        return {}

    @property
    def namespaces(self: Platform) -> list[str]:
        """The names of the namespaces in the order in which they were made; ``default`` is always there."""
        return list(self._namespaces)

    def create_namespace(self: Platform, name: str, description: str = "") -> None:
        """CreateNamespace (document 34413): a namespace without functions; `deploy` makes the one that it names, too.

        It stays when its last function is deleted. Raises ``ScfApiError``: ``InvalidParameterValue.Namespace``,
        ``InvalidParameterValue.DefaultNamespace`` for ``default``, ``ResourceInUse.Namespace``,
        ``InvalidParameterValue.Description``.
        """
        _check_name(name)
        if name == DEFAULT_NAMESPACE:
            raise api_error("InvalidParameterValue.DefaultNamespace", namespace=name)
        check_description(description)
        if name in self._namespaces:
            raise api_error("ResourceInUse.Namespace", namespace=name, reason="it exists already")
        self._namespaces[name] = self.clock.now_us
        self._described[name] = description, self.clock.now_us

    def update_namespace(self: Platform, name: str, description: str) -> None:
        """UpdateNamespace: give it another description.

        Raises ``ScfApiError``: ``ResourceNotFound.Namespace``, ``InvalidParameterValue.Description``,
        ``UnsupportedOperation`` for ``default``.
        """
        require_namespace(self, name)
        check_description(description)
        if name == DEFAULT_NAMESPACE:
            raise api_error("UnsupportedOperation", what=f"A change of the namespace {name!r}")
        self._described[name] = description, self.clock.now_us

    def delete_namespace(self: Platform, name: str) -> None:
        """DeleteNamespace (document 37159): only one without functions.

        Raises ``ScfApiError``: ``ResourceNotFound.Namespace``, ``ResourceInUse.Namespace`` while it has functions,
        ``FailedOperation.DeleteNamespace`` for ``default``, ``InvalidParameterValue.Namespace``.
        """
        _check_name(name)
        require_namespace(self, name)
        if name == DEFAULT_NAMESPACE:
            raise api_error("FailedOperation.DeleteNamespace", namespace=name)
        functions = sum(namespace == name for namespace, _ in self._functions)
        if functions:
            has = "a function" if functions == 1 else f"{functions} functions"
            raise api_error("ResourceInUse.Namespace", namespace=name, reason=f"it has {has}")
        del self._namespaces[name]
        self._described.pop(name, None)

    def list_namespaces(
        self: Platform,
        *,
        order: str = "DESC",
        orderby: str | None = None,
        offset: int = 0,
        limit: int = 20,
        search_key: Mapping[str, str] = MappingProxyType({}),
    ) -> NamespacePage:
        """ListNamespaces: one page of the namespaces with their descriptions and times.

        The newest is the first, or they are by *orderby*, ``"Name"`` or ``"Updatetime"``; *search_key* has
        parts of a ``"Namespace"``, a ``"Description"``, or both. Raises ``ScfApiError``:
        ``InvalidParameterValue.Order``, ``.Limit``, ``.Offset``, ``.SearchKey``.
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
        rows = []
        for name, made_us in self._namespaces.items():
            description, modified_us = self._described.get(name, ("", made_us))
            rows.append(NamespaceDetails(name, description, to_datetime(made_us), to_datetime(modified_us)))
        rows = [row for row in rows if all(text in _SEARCHED[name](row) for name, text in search_key.items())]
        if orderby is not None:
            rows.sort(key=_KEYS[orderby])
        return NamespacePage(len(rows), page_of(rows, order, offset, limit))


def require_namespace(platform: Platform, name: object) -> None:
    """Raise ScfApiError ``ResourceNotFound.Namespace`` for one that is not there."""
    if not isinstance(name, str) or name not in platform._namespaces:
        raise api_error("ResourceNotFound.Namespace", namespace=name)


def _check_name(name: object) -> None:
    if not is_valid_name(name):
        raise api_error("InvalidParameterValue.Namespace", value=name, valid=NAME_RULE)
