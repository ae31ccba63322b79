"""How the clock of a runtime is moved: to what is due next, or, where something sees real time, at the real rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CannotEndError, hidden_from_users
from ..instances.instance import Instance
from .calls import Call, Rate, TimeFlow
from .diagnosis import explain

if TYPE_CHECKING:
    from .scheduler import Lockstep

__tracebackhide__ = hidden_from_users


class Moving:
    """Moves the clock of one runtime, for its lockstep, when nothing is left to do at an instant."""

    def __init__(self, lockstep: Lockstep) -> None:
        self.lockstep = lockstep
        self._real_flow: Rate | None = None
        """How far time is by the real one, while an instance runs that sees it; between calls it goes on."""

    def move(self, call: Call) -> bool:
        """Move the time. False when something real has to end first, or real time to pass."""
        lockstep = self.lockstep
        if self._is_held(call):
            return False
        if self._is_asked(call) or (not call.past_held and self._has_heard()):
            return True
        flow = call.flow or self.real_flow()
        gated = lockstep.gated_events()
        if not call.moves_clock:
            if flow is None:
                raise CannotEndError(explain(lockstep, call, "nothing is left to do at this simulated time"))
            return bool(self._is_starting() and not gated and self._flow(call, flow))
        if gated and call.flow is not None:
            call.flow.rebase()
            return False
        if gated and call.opens_gates_to_move:
            lockstep.gates.open(gated)
            return True
        if gated:
            event = gated[0]
            gate = lockstep.gates.of(event)
            assert gate is not None
            raise CannotEndError(
                f"{call.name} needs simulated time to pass, but event {event.request_id} stands at {gate.description}: "
                "call wait(), settle() or another gate call on that event first, or terminate it"
            )
        if flow is not None and not (call.jumps and (call.past_held or not self._is_starting())):
            return self._flow(call, flow)
        return self._jump(call)

    def _is_held(self, call: Call) -> bool:
        held = any(call.is_held_by(instance) for instance in self.lockstep.pool.stirring())
        if held and call.flow is not None:
            call.flow.rebase()
        return held

    def _is_asked(self, call: Call) -> bool:
        """Whether an instance has to say first whether something happened to it of which only the kernel knows."""
        return not call.past_held and any(instance.children.ask() for instance in self.lockstep.pool.stirring())

    def _has_heard(self) -> bool:
        """Whether an instance has said something that was on its way when all its threads came to rest."""
        return any(each.preempted for each in self.lockstep.pool.stirring()) and self.lockstep.hear(0)

    def _flow(self, call: Call, flow: TimeFlow) -> bool:
        clock = self.lockstep.clock
        due, until = clock.next_due_us(), max(clock.now_us, flow.may_us())
        if call.target_us is not None:
            until = min(until, call.target_us)
        clock.jump(until if due is None or due > until else max(clock.now_us, due))
        return due is not None and due <= until

    def _jump(self, call: Call) -> bool:
        clock = self.lockstep.clock
        due = clock.next_due_us()
        if call.target_us is not None and (due is None or due > call.target_us):
            clock.jump(call.target_us)
            return True
        if due is None:
            raise CannotEndError(explain(self.lockstep, call, "nothing is due any more, so no time can bring it"))
        clock.jump(max(due, clock.now_us))
        self.lockstep.progress += 1
        return True

    # -- what sees real time -----------------------------------------------------------------------------------------

    def real_flow(self) -> Rate | None:
        """How time flows while an instance runs an event that sees real time; None where none does."""
        if not any(each.gated is None and not each.gone for each in self._in_real_time()):
            self._real_flow = None
        elif self._real_flow is None:
            self._real_flow = Rate(self.lockstep.clock, 1.0)
        elif self._real_flow.may_us() < self.lockstep.clock.now_us:
            self._real_flow.rebase()  # time has jumped since
        return self._real_flow

    def _is_starting(self) -> bool:
        """Whether a program that sees real time is on its way to listen: nothing jumps past that, and every call on it
        takes the time that this takes."""
        return any(self.lockstep.pool.events[each].phase == "init" for each in self._in_real_time())

    def _in_real_time(self) -> list[Instance]:
        """The instances that run an event and see real time."""
        pool = self.lockstep.pool
        return [each for each in pool.stirring() if not each.runtime.in_lockstep and each in pool.events]

    def catch_up(self, call: Call) -> None:
        """Before something is heard: it happened at the time that it is by now, where time flows."""
        if self._real_flow is None or call.jumps or not (call.moves_clock or self._is_starting()):
            return
        flow = call.flow or self.real_flow()
        instances = self.lockstep.pool.stirring()
        if flow is None or any(instance.computing or instance.holds_clock for instance in instances):
            return
        clock = self.lockstep.clock
        limits = [limit for limit in (clock.next_due_us(), call.target_us) if limit is not None]
        clock.jump(max(clock.now_us, min([flow.may_us(), *limits])))
