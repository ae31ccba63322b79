"""What wings have in the zygote, the reaper above it and what it forks: a module each, which imports what is needed."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from ..programs import in_zygote

PARTS: Final[tuple[ModuleType, ...]] = (in_zygote,)
