"""Parts: what an instance has beside user code of a feature such as coverage, and of whom a pool asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .instance import Instance
    from .runtimes.strategy import Runtime


@dataclass(frozen=True)
class Part:
    """What one instance has of one feature; what its module has to have says `python.parts`."""

    module: str
    given: dict[str, Any]
    """The keywords with which it begins there, as JSON has them."""
    ahead: dict[str, Any]
    """Those with which the zygote prepares for it: they do not change from one instance to the next."""
    descriptor: int | None = None
    """One that it is given, too."""
    sees_imports: bool = False
    """What user code imports must not be imported before it has begun."""


class HasParts:
    """A feature that may have a part in instances."""

    def part(self, runtime: Runtime) -> Part | None:
        """That of an instance that starts now with *runtime*; None: it has none."""
        return None

    def before_kill(self, instances: Iterable[Instance]) -> None:
        """*instances* are about to be killed."""
