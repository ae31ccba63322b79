"""Why a blocking call could not end: what each instance is doing, thread by thread, and what to do about it."""

from __future__ import annotations

import linecache
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
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_FRAME = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>.*)')


def explain(lockstep: Lockstep, call: Call, reason: str) -> str:
    """The text of a ``CannotEndError``."""
    return f"{call.name} could not end: {reason}.\n{what_instances_do(lockstep)}"


def what_instances_do(lockstep: Lockstep) -> str:
    """What the instance of each running event is doing, thread by thread, and what to do about it."""
    lines: list[str] = []
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
    while REAL.monotonic() < deadline and not _is_whole(text):
        text = instance.stacks()
        os.sched_yield()
    if stopped:
        instance.stop()
    return _named(text)


def _is_whole(text: str) -> bool:
    """Whether all threads are written: the main thread comes last, down to the zygote's first line."""
    last = text[text.rfind("\n", 0, -1) + 1 :]
    match = _FRAME.match(last)
    return text.endswith("\n") and (last == "  ...\n" or (match is not None and match["file"] == "<string>"))


def _named(text: str) -> list[str]:
    """The stacks of ``faulthandler``, each under a line that says whose it is; a frame of the user has its source."""
    threads: list[tuple[str, list[re.Match[str]]]] = []
    for line in text.splitlines():
        match = _FRAME.match(line)
        if match is not None and threads:
            threads[-1][1].append(match)
        elif line.rstrip().endswith("(most recent call first):"):
            threads.append((line, []))
    lines = []
    for _, frames in threads:
        on_main = bool(frames) and frames[-1]["file"] == "<string>"  # the zygote's first line
        shown = [frame for frame in frames if not frame["file"].startswith(OWN_CODE) and frame["file"] != "<string>"]
        of_user = [frame for frame in shown if not _is_library(frame["file"])]
        name = "'MainThread'" if on_main else f"of {of_user[-1]['name']}()" if of_user else "of a library"
        lines.append(f"thread {name}, most recent call first:")
        for frame in shown:
            source = linecache.getline(frame["file"], int(frame["line"])).strip() if frame in of_user else ""
            lines.append(f"  {frame['file']}:{frame['line']} in {frame['name']}" + (f": {source}" if source else ""))
    return lines


def _is_library(file: str) -> bool:
    return file.startswith(_STANDARD_LIBRARY) or "site-packages" in file
