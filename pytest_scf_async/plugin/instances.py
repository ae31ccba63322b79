"""What the session says of its instances: that they have no mount namespaces, or no genuine classes."""

from __future__ import annotations

from ..errors import ScfAsyncError
from ..instances.sandbox import zygote_of
from ..instances.zygote import namespaces_refused
from ..options import ScfSettings


def lacking(settings: ScfSettings, *, says_all: bool) -> list[str]:
    """A line for each thing that instances do not have; with *says_all* one for what they have, too."""
    try:
        zygote = zygote_of(settings)
        zygote.is_ready()
    except (ScfAsyncError, OSError):
        return []  # the first test that needs an instance says why
    lines: list[str] = []
    by_itself = settings.sandbox == "auto"  # what is asked for is in the header
    if by_itself and not zygote.namespaces:
        own = "each has a TMPDIR of its own, and a literal /tmp/… is the machine's"
        lines.append(f"scf-async: instances have no mount namespace ({namespaces_refused()}): {own}")
    elif by_itself and says_all:
        lines.append("scf-async: each instance has a mount namespace")
    if zygote.not_filtered:
        may = "programs that share the machine's network may listen on all of its addresses"
        lines.append(f"scf-async: {may} ({zygote.not_filtered})")
    if why := zygote.no_clock_page:
        if settings.clock == "freezegun":
            why = f"clock='freezegun', {settings.source('clock')}"
        broken = "pandas, pyarrow, orjson and other code in C may refuse these or crash"
        lines.append(f"scf-async: instances have freezegun's classes for datetime and date ({why}): {broken}")
    return lines
