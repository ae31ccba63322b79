"""Points: places in user code that an event comes to, which a sweep collects to interrupt other runs of it there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from ..errors import CannotEndError, hidden_from_users
from ..instances.instance import FollowUp, Instance
from ..lockstep.event import Event
from ..lockstep.features.feature import Feature, Means
from ..model.transitions import Fact
from ..protocol import messages

__tracebackhide__ = hidden_from_users

MOST_POINTS: Final = 500_000
"""Points of one event: each is kept, and a sweep tries a thousand of them."""
_TOO_MANY_POINTS = (
    f"sweep: function {{!r}} comes to more than {MOST_POINTS:,} points: give it a smaller payload, or leave out files "
    "with exclude="
)


class Points(Feature):
    """Keeps the points that events come to."""

    def means(self) -> Mapping[type, Means]:
        return {messages.Points: self._came}

    def _came(self, instance: Instance, event: Event | None, message: messages.Points) -> FollowUp | None:
        if event is None:
            return None
        event.came_to(message)
        return partial(self._too_many, event) if len(event.points) > MOST_POINTS else None

    def _too_many(self, event: Event) -> None:
        """End *event*: a sweep cannot try so many points, and after an interruption the event may loop for ever."""
        if event.ended:
            return  # several messages have come at once, and the first of them was too much
        if not event.interrupted:
            self._scheduler.refuse(event, _TOO_MANY_POINTS.format(event.function.configuration.name))
        why = f"the event came to more than {MOST_POINTS:,} points after it was interrupted"
        event.ends_by_close()
        self._scheduler.end(event, Fact.PROCESS_EXITED, why=why)
        raise CannotEndError(why)
