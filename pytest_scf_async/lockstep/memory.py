"""The memory limit of a function (434): what an instance and its descendants use, by what ``/proc`` shows.

Nothing here is asked where no limit is given.
"""

from __future__ import annotations

from ..instances.instance import Instance
from ..linux import procfs
from ..model.timeline import MemoryExcess
from .event import Event

MB = 1 << 20
GRACE = 512
"""MB over the limit that an instance may use while it computes: its next wait or its result finds that out, at the same
point in every run, and only what could eat the machine's memory is stopped where it is."""


def excess(instance: Instance, event: Event, own_peak: int | None = None, grace: int = 0) -> MemoryExcess | None:
    """What is over the limit of the event's function by *grace* MB; None where nothing is.

    An instance counts with its peak above what it had at its fork, and each living descendant with what it has now. The
    peak is kept in ``instance.rss``; *own_peak* is the instance's own word of it.
    """
    limit = event.function.configuration.memory
    if limit is None or not instance.pid or instance.gone:
        return None
    allowed = (limit + grace) * MB
    peak, descendants = instance.user_process.memory(has_children=instance.children.possible)
    if own_peak is None:
        own_peak = peak
    used = own_peak + sum(procfs.memory(pid) for pid in descendants)
    if used > allowed and descendants:  # what a forked child shares with its parent counts once
        used = own_peak + sum(procfs.unshared_memory(pid) for pid in descendants)
    if used <= allowed:
        instance.has_used(own_peak)
        return None
    instance.has_used(used)
    source = event.function.configuration.sources.get("memory") or ""
    return MemoryExcess(used, limit, len(descendants), source)
