"""Parts of features in an instance, as coverage has one: modules that it and the zygote are told by their names."""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast


class Part(Protocol):
    """What such a module has."""

    def prepare(self, **ahead: Any) -> None:
        """In the zygote: do once what each instance would do else."""

    def begin(self, descriptors: list[int], **given: Any) -> None:
        """Begin, before any user code runs; take those of the *descriptors* that are the part's, from the front."""


def part(module: str) -> Part:
    """That of the *module*."""
    return cast("Part", importlib.import_module(module))
