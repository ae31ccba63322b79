"""The prompt of a debugger in an instance, at the user's terminal: real time passes there, and no call counts it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ..instances.instance import Instance
from ..instances.interrupts import exposed
from ..instances.parts import HasParts, Part
from ..instances.runtimes.strategy import Runtime
from ..instances.state import InstanceFact
from ..lockstep.features.feature import Feature, Means, Scheduler
from ..protocol import messages
from ..protocol.real_time import REAL
from . import terminal

IN_INSTANCE = "pytest_scf_async.debugger.in_instance.part"
"""What each instance imports."""


class Debugger(Feature, HasParts):
    """Asks the user's terminal for what debuggers in instances ask."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        scheduler.pool.with_parts(self)

    def part(self, runtime: Runtime) -> Part | None:
        """Whether a debugger has a terminal: without one, too, as it refuses then."""
        given = {"has_terminal": terminal.ask is not None}
        return Part(IN_INSTANCE, given, given) if runtime.runs_python else None

    def means(self) -> Mapping[type, Means]:
        return {messages.Terminal: lambda instance, _, message: partial(self._ask, instance, message.text)}

    def _ask(self, instance: Instance, text: str) -> None:
        """Show *text*, the prompt last, and block until the user has typed a line."""
        began = REAL.monotonic()
        line = None if terminal.ask is None else exposed(terminal.ask, text)
        self._scheduler.does_not_count(REAL.monotonic() - began)
        self._scheduler.progressed()
        if not instance.gone:
            self._scheduler.apply(instance, InstanceFact.TYPED)
            instance.typed()
            instance.send(messages.Typed(line))
