"""Coverage: an instance that a SIGTERM is to end saves what it measured before that."""

from __future__ import annotations

import signal

from ...instances import coverage
from ...model.timeline import Disposition
from ..event import Event
from .feature import Feature


class Coverage(Feature):
    """Has instances that are measured save, where a signal ends them without a word of their own."""

    def before_sigterm(self, event: Event, disposition: Disposition) -> None:
        if event.instance is not None and disposition == "default":
            coverage.save([event.instance])

    def after_sigterm(self, event: Event) -> None:
        if event.instance is not None and event.instance.measured:
            event.instance.signal(signal.SIGCONT)  # it saved what it measured, and stopped
