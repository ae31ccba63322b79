"""Why a blocking call could not end: what each instance is doing, thread by thread, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..instances.instance import Doing, Instance
from ..instances.process_tree import Child
from .thread_reports import threads_of

if TYPE_CHECKING:
    from .calls import Call
    from .scheduler import Lockstep

CHILDREN_SHOWN = 5


def explain(lockstep: Lockstep, call: Call, reason: str) -> str:
    """The text of a ``CannotEndError``."""
    return f"{call.name} could not end: {reason}.\n{what_instances_do(lockstep)}"


def what_instances_do(lockstep: Lockstep) -> str:
    """What the instance of each running event is doing, thread by thread, and what to do about it."""
    lines: list[str] = []
    advice: list[str] = []
    running = lockstep.events_running()
    for event in running:
        if event.instance is None:
            lines.append(f"event {event.request_id} is pending: none of its code has run")
            continue
        instance = event.instance.acting
        deploy = event.function.configuration.deployed_by
        doing = instance.doing
        process = f", in its process {instance.pid}" if instance.parent is not None else ""
        lines.append(f"event {event.request_id} of {event.function.configuration.name} is {_doing(instance)}{process}")
        peers: list[str] = []
        sleeps: list[str] = []
        if doing in (Doing.COMPUTING, Doing.HELD) and not instance.gone:
            for thread in threads_of(instance):
                lines += ["  " + line for line in thread.lines]
                if thread.real_wait is not None:
                    peers += thread.real_wait.peers
                    sleeps += [thread.real_wait.sleeps] if thread.real_wait.sleeps else []
            peers = [peer for peer in peers if peer not in event.function.configuration.idle_ok]
        if doing is Doing.FREE_RUNNING:
            program = "" if event.function.launch is None else event.function.launch.command[0]
            lines.append(f"  {program} sees real time: what it does there cannot be seen from outside")
            advice.append("scf_clock.advance(seconds) brings its timeout on at once, terminate() ends it")
        elif doing is Doing.COMPUTING:
            advice.append("scf_clock.advance(seconds) brings its timeout on, terminate() ends it")
        elif doing is Doing.HELD and instance.children.holding:
            named = ", ".join(dict.fromkeys(repr(child.name) for child in instance.children.holding if child.name))
            advice.append(
                "a child process holds the clock as long as it lives: have the handler end it and wait for it"
                + (f"; {deploy}(..., background=({named},)) lets a daemon run beside the clock" if named else "")
                + "; scf_clock.advance(seconds, past_held=True) lets time pass it; terminate() ends it with its event"
            )
        elif doing is Doing.HELD:
            if sleeps:
                advice.append(
                    f"{sleeps[0]}() of code in C cannot be put on simulated time: have before_init= put a fake that "
                    "calls time.sleep() into the place of what calls it"
                )
            advice += [
                f"a loop of {name} cannot be put on simulated time: have the function use the loop of asyncio in tests"
                for name in sorted(event.real_time & {"uvloop"})
            ]
            idle = ", ".join(map(repr, dict.fromkeys(peers)))
            advice.append(
                "a real wait holds the clock: "
                + (f"{deploy}(..., idle_ok=[{idle}]) has it wait there beside the clock; " if idle else "")
                + "scf_clock.advance(seconds, past_held=True) lets time pass it; terminate() ends it"
            )
        elif doing is Doing.GATED:
            advice.append("wait(), settle() or another gate call on that event opens its gate")
        else:
            advice.append("scf_clock.advance(seconds), or a call that moves the clock, lets its wait end")
    if not running:
        lines.append("no event is running")
    lines += [f"What to do: {text}." for text in dict.fromkeys(advice)]
    return "\n".join(lines)


def _doing(instance: Instance) -> str:
    if instance.doing is Doing.PARKED and instance.waits_in:
        return f"parked in {instance.waits_in}"
    if instance.doing is Doing.HELD:
        children = instance.children.look()
        waits = "held by a real wait" if instance.held or instance.overtaken else f"parked in {instance.waits_in}"
        return f"{waits}; the {_children(children)} alive" if children else waits
    return str(instance.doing)


def _children(children: tuple[Child, ...]) -> str:
    if len(children) == 1:
        return f"child process {children[0]} is"
    shown = ", ".join(map(str, children[:CHILDREN_SHOWN]))
    more = f" and {len(children) - CHILDREN_SHOWN} more" if len(children) > CHILDREN_SHOWN else ""
    return f"child processes {shown}{more} are"
