"""Examples of hypothesis have no deadline: on a loaded machine one may stand still for longer than they allow it."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
