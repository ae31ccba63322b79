"""What ListVersionByFunction answers (document 37162)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ...instances.function_version import FunctionVersion
from ...model.versions import LATEST


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


VERSION_KEYS: Final[Mapping[str, Callable[[VersionDetails], datetime]]] = {
    "AddTime": lambda row: row.add_time,
    "ModTime": lambda row: row.mod_time,
}
"""What ``OrderBy`` of ListVersionByFunction sorts by."""


def description_of(version: FunctionVersion) -> str:
    """A published version has one of its own, ``$LATEST`` the function's."""
    return version.configuration.description if version.version == LATEST else version.description
