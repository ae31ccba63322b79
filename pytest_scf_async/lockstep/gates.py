"""The gates of events: points at which the test asked an instance to stop."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Protocol

from ..clock import WAKE_UP, SimulatedClock
from ..errors import ScfUsageError, hidden_from_users
from ..instances.instance import Instance
from ..instances.state import GateState, InstanceFact
from ..protocol import messages, shared_page
from ..protocol.shared_page import NextOrder
from .event import Event, Gate
from .features.feature import Feature
from .places import Place

__tracebackhide__ = hidden_from_users


class Host(Protocol):
    """What this module asks of the scheduler of its runtime."""

    clock: SimulatedClock
    next_order: NextOrder
    features: tuple[Feature, ...]

    def apply(self, instance: Instance, fact: InstanceFact) -> None: ...
    def progressed(self) -> None: ...


class Gates:
    """Sets and opens the gates of one runtime's events."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._named = 0
        self._placed: dict[Event, None] = {}
        """Events of which passes of places are counted."""

    def name(self, kind: str) -> str:
        """A name for a gate of *kind* that no other of the runtime has."""
        self._named += 1
        return f"{kind}-{self._named}"

    def arm(self, event: Event, gate: Gate, description: messages.AnyGate | None) -> None:
        """Set *gate*; a log gate has a *description* for the instance."""
        event.gates[gate.identity] = gate
        gate.arm(description)
        self.send(event)

    def disarm(self, event: Event, gate: Gate) -> None:
        gate.disarm()
        if not gate.reached and not event.ended:
            self.send(event)

    def send(self, event: Event) -> None:
        """Have the instance of *event* look for the gates that are set."""
        if event.instance is None or event.instance.gone or event.ended:
            return
        armed = [gate.armed for gate in event.gates.values() if gate.armed is not None and not gate.reached]
        places = [
            messages.CountedPlace(slot, list(place.spots), list(place.instructions))
            for place, slot in event.places.items()
        ]
        instance, collect = event.instance, event.collects
        wanted = bool(armed or places or collect)
        if wanted or instance.has_gates:
            instance.looks_for_gates(wanted)
            instance.send(messages.ArmGates(armed, places, collect))
            if places and (instance.state.outside or instance.state.held):
                instance.poke()  # the thread that computes is to look

    def begin(self, event: Event) -> None:
        """Send its gates to the instance of *event*, which has run no code of this event yet.

        It also counts the places of other running events of its function: a later call may ask for their passes.
        """
        for other in list(self._placed):
            if other.ended:
                del self._placed[other]
            elif other.function is event.function:
                for place in other.places:
                    event.places.setdefault(place, len(event.places))
                    self._placed[event] = None
        for slot in event.places.values():
            self._passes(event)[slot] = 0
        self.send(event)

    def count(self, event: Event, place: Place) -> int:
        """Start to count how often *event* passes *place*, unless it is counted already. Returns the passes so far."""
        slot = event.places.get(place)
        if slot is None:
            slot = len(event.places)
            if slot == shared_page.PLACES:
                raise ScfUsageError(
                    f"run_to({place.text!r}): {shared_page.PLACES} places of one event can be named at most"
                )
            event.places[place] = slot
            self._placed[event] = None
            if event.instance is not None and not event.instance.released:
                self._passes(event)[slot] = 0
        return 0 if event.instance is None or event.instance.released else self._passes(event)[slot]

    def forget_places(self, event: Event) -> None:
        """Count no passes for *event* any more, and collect no points: its code runs at its full speed again."""
        if not event.places and event.collects is None:
            return
        event.places.clear()
        event.collect(None)
        self._placed.pop(event, None)
        self.send(event)

    @staticmethod
    def stands_at(event: Event, place: Place) -> bool:
        """Whether *event* stands at *place*, and has not been let go on."""
        instance = event.gated
        if instance is None or instance.gated is None or instance.state.gate is GateState.OPENING:
            return False
        gate = event.gates.get(instance.gated)
        return gate is not None and gate.place == place

    @staticmethod
    def _passes(event: Event) -> MutableSequence[int]:
        assert event.instance is not None
        return event.instance.control.passes

    def open(self, events: list[Event]) -> None:
        """Let what stands at a gate of *events* go on, after what was due before."""
        for event in events:
            for feature in self._host.features:
                feature.opens(event)
            instance = event.gated
            if event.ended or instance is None or instance.state.gate is not GateState.CLOSED:
                continue
            self._host.apply(instance, InstanceFact.GATE_OPENS)
            self._host.clock.call_at(
                self._host.clock.now_us,
                lambda event=event, instance=instance: self._open(event, instance),  # type: ignore[misc]
                priority=WAKE_UP,
                order=self._host.next_order(),
            )

    def _open(self, event: Event, instance: Instance) -> None:
        if instance.gated is None or not instance.state.gated:
            return
        self._host.progressed()
        event.gates[instance.gated].let_go()
        instance.left_gate()
        self._host.apply(instance, InstanceFact.GATE_OPENED)

    def of(self, event: Event) -> Gate | None:
        """The gate at which *event* stands."""
        for feature in self._host.features:
            if event in feature.standing():
                return feature.standing()[event]
        instance = event.gated
        return None if instance is None or instance.gated is None else event.gates[instance.gated]

    def open_now(self, event: Event) -> None:
        """Let an instance go on at once that is stopped behind a line of its output: it waits for no run token."""
        if event.gated is not None and event.gated.state.gate is GateState.CLOSED:
            self._open(event, event.gated)

    def stop_at_line(self, event: Event, instance: Instance) -> None:
        """Stop *instance*, which cannot stop at a line itself, if a gate waits for the line that it has written."""
        for gate in event.gates.values():
            if gate.seen is not None and not (gate.reached or gate.open) and gate.seen():
                gate.reach()
                instance.reached(gate.identity, on_main=False)
                self._host.apply(instance, InstanceFact.STOPPED_BEHIND_LINE)
                event.stopped_behind(gate)
                return
