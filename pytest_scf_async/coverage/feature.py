"""Coverage: instances measure as the test's process does, and save that before they are ended."""

from __future__ import annotations

import signal
from collections.abc import Iterable

from ..instances.instance import Instance
from ..instances.parts import HasParts, Part
from ..instances.runtimes.choice import Deployed
from ..instances.runtimes.strategy import Runtime
from ..lockstep.event import Event
from ..lockstep.features.feature import Feature, Forked, Scheduler
from ..model.timeline import Disposition
from . import measuring

IN_INSTANCE = "pytest_scf_async.coverage.in_instance.part"
"""What each instance that is measured imports."""


class Coverage(Feature, HasParts):
    """Has instances measure, and save where something ends them without a word of their own."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        scheduler.pool.with_parts(self)

    def part(self, runtime: Runtime) -> Part | None:
        """How an instance measures; nothing where the session is not measured."""
        plan = measuring.plan() if runtime.runs_python else None
        return None if plan is None else Part(IN_INSTANCE, plan[0], {}, plan[1], sees_imports=True)

    def before_kill(self, instances: Iterable[Instance]) -> None:
        """Have them save."""
        measuring.save(each for each in instances if IN_INSTANCE in each.parts)

    def before_sigterm(self, event: Event, disposition: Disposition) -> None:
        if event.instance is not None and disposition == "default":
            self.before_kill([event.instance])

    def after_sigterm(self, event: Event) -> None:
        if event.instance is not None and IN_INSTANCE in event.instance.parts:
            event.instance.signal(signal.SIGCONT)  # it saved what it measured, and stopped

    def warns(self, deployed: Deployed) -> str:
        return deployed.if_measured if measuring.current() is not None else ""

    def forked(self) -> Forked | None:
        return None if measuring.current() is None else measuring.Shared()

    def hands_in(self) -> None:
        measuring.hand_in()
