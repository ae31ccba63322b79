"""The namespaces of a runtime (documents 34413, 37159): ``default`` is always there, and stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .codes import api_error
from .configuration import DEFAULT_NAMESPACE, NAME_RULE, is_valid_name
from .versions import check_description


@dataclass(frozen=True)
class Namespace:
    """One namespace. Times are µs of simulated time."""

    name: str
    description: str
    added_us: int
    modified_us: int


class Namespaces:
    """The namespaces by name, in the order in which they were made; *now_us* is when ``default`` was."""

    def __init__(self, now_us: int) -> None:
        self._by_name = {DEFAULT_NAMESPACE: Namespace(DEFAULT_NAMESPACE, "", now_us, now_us)}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._by_name

    @property
    def names(self) -> list[str]:
        return list(self._by_name)

    @property
    def all(self) -> list[Namespace]:
        return list(self._by_name.values())

    def require(self, name: object) -> None:
        """Raise ScfApiError ``ResourceNotFound.Namespace`` for one that is not there."""
        if name not in self:
            raise api_error("ResourceNotFound.Namespace", namespace=name)

    def make(self, name: str, now_us: int) -> None:
        """Have the namespace of a function that is deployed; it may be there."""
        if name not in self._by_name:
            self._by_name[name] = Namespace(name, "", now_us, now_us)

    def create(self, name: str, description: str, now_us: int) -> None:
        """CreateNamespace. Raises ScfApiError ``InvalidParameterValue.Namespace``, ``ResourceInUse.Namespace``,
        ``InvalidParameterValue.DefaultNamespace``, ``InvalidParameterValue.Description``."""
        _check_name(name)
        if name == DEFAULT_NAMESPACE:
            raise api_error("InvalidParameterValue.DefaultNamespace", namespace=name)
        check_description(description)
        if name in self._by_name:
            raise api_error("ResourceInUse.Namespace", namespace=name, reason="it exists already")
        self._by_name[name] = Namespace(name, description, now_us, now_us)

    def update(self, name: str, description: str, now_us: int) -> None:
        """UpdateNamespace. Raises ScfApiError ``ResourceNotFound.Namespace``, ``InvalidParameterValue.Description``,
        ``UnsupportedOperation`` for ``default``."""
        self.require(name)
        check_description(description)
        if name == DEFAULT_NAMESPACE:
            raise api_error("UnsupportedOperation", what=f"A change of the namespace {name!r}")
        self._by_name[name] = replace(self._by_name[name], description=description, modified_us=now_us)

    def delete(self, name: str, functions: int) -> None:
        """DeleteNamespace of one that has so many *functions*.

        Raises ScfApiError ``InvalidParameterValue.Namespace``, ``ResourceNotFound.Namespace``,
        ``FailedOperation.DeleteNamespace`` for ``default``, ``ResourceInUse.Namespace`` while it has functions.
        """
        _check_name(name)
        self.require(name)
        if name == DEFAULT_NAMESPACE:
            raise api_error("FailedOperation.DeleteNamespace", namespace=name)
        if functions:
            has = "a function" if functions == 1 else f"{functions} functions"
            raise api_error("ResourceInUse.Namespace", namespace=name, reason=f"it has {has}")
        del self._by_name[name]


def _check_name(name: object) -> None:
    if not is_valid_name(name):
        raise api_error("InvalidParameterValue.Namespace", value=name, valid=NAME_RULE)
