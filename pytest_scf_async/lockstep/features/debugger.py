"""The prompt of a debugger in an instance, at the user's terminal: real time passes there, and no call counts it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ...instances import terminal
from ...instances.instance import FollowUp, Instance
from ...instances.interrupts import exposed
from ...instances.state import InstanceFact
from ...protocol import messages
from ...protocol.real_time import REAL
from ..event import Event
from .feature import Feature, Means


class Debugger(Feature):
    """Asks the user's terminal for what debuggers in instances ask."""

    def means(self) -> Mapping[type, Means]:
        return {messages.Terminal: self._asked}

    def _asked(self, instance: Instance, event: Event | None, message: messages.Terminal) -> FollowUp:
        return partial(self._ask, instance, message.text)

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
