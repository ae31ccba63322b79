"""Why a blocking call could not end: what each instance is doing, thread by thread, and what to do about it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ..realtime import REAL
from .bootstrap.waits import OWN_CODE
from .children import Child
from .instance import Doing, Instance

if TYPE_CHECKING:
    from .calls import Call
    from .lockstep import Lockstep

CHILDREN_SHOWN = 5
STACKS_LIMIT = 1.0
"""Real seconds within which an instance has to write its stacks."""
_FRAME = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>.*)')


def explain(lockstep: Lockstep, call: Call, reason: str) -> str:
    """The text of a ``CannotEndError``."""
    lines = [f"{call.name} could not end: {reason}."]
    advice: list[str] = []
    running = lockstep.events_running()
    for event in running:
        instance = event.instance
        if instance is None:
            lines.append(f"event {event.request_id} is pending: none of its code has run")
            continue
        doing = instance.doing
        lines.append(f"event {event.request_id} of {event.function.configuration.name} is {_doing(instance)}")
        if doing in (Doing.COMPUTING, Doing.HELD) and not instance.gone:
            lines += ["  " + line for line in stacks(instance)]
        if doing is Doing.COMPUTING:
            advice.append("scf_clock.advance(seconds) brings its timeout on, terminate() ends it")
        elif doing is Doing.HELD and instance.children.holding:
            named = ", ".join(dict.fromkeys(repr(child.name) for child in instance.children.holding if child.name))
            advice.append(
                "a child process holds the clock as long as it lives: have the handler end it and wait for it"
                + (f"; deploy(..., background=({named},)) lets a daemon run beside the clock" if named else "")
                + "; scf_clock.advance(seconds, past_held=True) lets time pass it; terminate() ends it with its event"
            )
        elif doing is Doing.HELD:
            advice.append(
                "a real wait holds the clock: scf_clock.advance(seconds, past_held=True) lets time pass it, "
                "terminate() ends it"
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


def stacks(instance: Instance) -> list[str]:
    """The Python stacks of an instance's threads, outermost call last, without frames of ours."""
    stopped = instance.stopped
    instance.ask_for_stacks()
    if stopped:
        instance.go_on()
    deadline = REAL.monotonic() + STACKS_LIMIT
    text = ""
    while REAL.monotonic() < deadline:
        found = instance.stacks()
        if found and found == text and "(most recent call first)" in found and found.endswith("\n"):
            break
        text = found
        os.sched_yield()
    if stopped:
        instance.stop()
    lines = []
    for line in text.splitlines():
        match = _FRAME.match(line)
        if match is None:
            if line.strip() and not line.startswith("<"):
                lines.append(line)
        elif not match["file"].startswith(OWN_CODE) and match["file"] != "<string>":  # the zygote's first line
            lines.append(f"  {match['file']}:{match['line']} in {match['name']}")
    return lines
