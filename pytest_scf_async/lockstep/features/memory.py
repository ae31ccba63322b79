"""The memory limit of a function (434): what an instance and its descendants use, by what ``/proc`` shows.

Nothing here is asked where no limit is given.
"""

from __future__ import annotations

from functools import partial

from ...instances.instance import FollowUp, Instance
from ...linux import procfs
from ...model.timeline import MemoryExcess
from ...model.transitions import Fact
from ..event import Event
from .feature import Feature

MB = 1 << 20
GRACE = 512
"""MB over the limit that an instance may use while it computes: its next wait or its result finds that out, at the same
point in every run, and only what could eat the machine's memory is stopped where it is."""


class MemoryLimits(Feature):
    """Ends events whose instances use more memory than their functions have."""

    def begins(self, event: Event) -> None:
        if event.function.configuration.memory is not None:
            self._scheduler.use(self)

    def forbids_lease(self, instance: Instance, event: Event) -> bool:
        return event.function.configuration.memory is not None

    def parked(self, instance: Instance, event: Event) -> FollowUp | None:
        return None if event.function.configuration.memory is None else partial(self._check, instance, event)

    def peaked(self, instance: Instance, event: Event) -> FollowUp | None:
        found = None if event.ended else _excess(instance, event, reported=True)
        return None if found is None else partial(self._check, instance, event, reported=True)

    def looks(self) -> None:
        """Look at all instances with a limit: one that computes, or waits for its children, reports nothing."""
        for instance in self._scheduler.pool.stirring():
            event = self._scheduler.pool.events.get(instance)
            if event is None or event.function.configuration.memory is None or event.ended:
                continue
            if not instance.state.computing:
                self._check(instance, event)
            elif _excess(instance, event, grace=GRACE) is not None:
                event.stopped_for_memory()
                self._check(instance, event)

    def _check(self, instance: Instance, event: Event, *, reported: bool = False) -> None:
        """End *event* where its instance uses more memory than the function has."""
        found = None if event.ended else _excess(instance, event, reported=reported)
        if found is not None:
            self._scheduler.end(event, Fact.MEMORY_EXCEEDED, mem_usage=instance.rss, excess=found)


def _excess(instance: Instance, event: Event, *, grace: int = 0, reported: bool = False) -> MemoryExcess | None:
    """What is over the limit of the event's function by *grace* MB; None where nothing is.

    An instance counts with its peak above what it had at its fork, and each living descendant with what it has now. The
    peak is that which it has *reported*, if it has: what it had before it made the report. If it traces its program,
    that has the descendants in it.
    """
    limit = event.function.configuration.memory
    if limit is None or not instance.pid or instance.gone:
        return None
    allowed = (limit + grace) * MB
    peak, descendants = instance.user_process.memory(has_children=instance.children.possible)
    counted = descendants
    if reported:
        peak, counted = instance.rss, [] if instance.traces_user_code else descendants
    used = peak + sum(map(procfs.memory, counted))
    if used > allowed and counted:  # what a forked child shares with its parent counts once
        used = peak + sum(map(procfs.unshared_memory, counted))
    if used <= allowed:
        instance.has_used(peak)
        return None
    instance.has_used(used)
    source = event.function.configuration.sources.get("memory") or ""
    return MemoryExcess(used, limit, len(descendants), source)
