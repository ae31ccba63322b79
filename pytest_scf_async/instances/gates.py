"""The gates of events: points at which the test asked an instance to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..clock import WAKE_UP
from . import wire
from .event import Event, Gate
from .instance import Instance

if TYPE_CHECKING:
    from .lockstep import Lockstep


class Gates:
    """Sets and opens the gates of one runtime's events."""

    def __init__(self, lockstep: Lockstep) -> None:
        self.lockstep = lockstep
        self._named = 0

    def name(self, kind: str) -> str:
        """A name for a gate of *kind* that no other of the runtime has."""
        self._named += 1
        return f"{kind}-{self._named}"

    def arm(self, event: Event, gate: Gate, description: wire.JsonObject | None) -> None:
        """Set *gate*; a log gate has a *description* for the instance."""
        event.gates[gate.identity] = gate
        gate.armed = description
        self.tell(event)

    def disarm(self, event: Event, gate: Gate) -> None:
        gate.armed = None
        if not gate.reached:
            gate.open = True
            if not event.ended:
                self.tell(event)

    def tell(self, event: Event) -> None:
        """Have the instance of *event* look for the gates that are set."""
        instance = event.instance
        if instance is None or instance.gone or event.ended:
            return
        armed = [gate.armed for gate in event.gates.values() if gate.armed is not None and not gate.reached]
        if armed or instance.has_gates:
            instance.has_gates = bool(armed)
            instance.send(wire.ARM_GATES, {"gates": armed})

    def open(self, events: list[Event]) -> None:
        """Let what stands at a gate of *events* go on, in its turn."""
        for event in events:
            instance = event.instance
            if instance is None or instance.gated is None or event.ended or instance.opening:
                continue
            instance.opening = True
            self.lockstep.clock.call_at(
                self.lockstep.clock.now_us,
                lambda event=event, instance=instance: self._open(event, instance),  # type: ignore[misc]
                what=f"gate of {event.request_id}",
                priority=WAKE_UP,
                order=self.lockstep.next_order(),
            )

    def _open(self, event: Event, instance: Instance) -> None:
        instance.opening = False
        if instance.gone or instance.gated is None:
            return
        event.gates[instance.gated].open = True
        instance.gated = None
        instance.turn = True
        instance.send(wire.OPEN_GATE)
