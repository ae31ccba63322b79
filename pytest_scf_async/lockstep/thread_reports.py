"""What each thread of an instance is doing, for error texts: its name, its wait, and its Python stack."""

from __future__ import annotations

import itertools
import linecache
import os
import re
import select
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..instances.instance import Instance
from ..linux import procfs
from ..linux.kernel_waits import FEW, KernelWait, Target, waits_of
from ..protocol import messages
from ..protocol.own_code import OWN_CODE
from ..protocol.real_time import REAL
from ..protocol.shared_page import KnownThread
from ..protocol.shortening import shortened_list

STACKS_LIMIT = 5.0
"""Real seconds within which an instance has to write its stacks."""
STILL_SECONDS = 0.01
"""Real seconds in which a thread that waits has not run."""
STILL_LIMIT = 0.1
STARVED_LIMIT = 5.0
"""The same where a thread has had no core, on a machine that is busy with something else."""
_SCHEDULER = os.path.join(OWN_CODE, "python", "scheduler", "scheduler.py")
"""Where a thread stands that is parked."""
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_SUBPROCESS = _STANDARD_LIBRARY + "subprocess.py"
_HEAD = re.compile(r"(?:Current t|T)hread 0x(?P<ident>[0-9a-f]+).*\(most recent call first\):\s*")
_FRAME = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>.*)')


LINES_SHOWN = 16
"""Lines about the threads of one instance; the main thread is always among them."""
NAMES_SHOWN = 3


@dataclass(frozen=True)
class ThreadReport:
    """One thread: ``lines`` are what a user reads of it."""

    lines: list[str]
    real_wait: KernelWait | None
    """What it waits for in real time."""
    name: str = ""
    """Its name, where it has one of its own."""
    does: str = ""
    """What it does: its state, and its stack. Threads that do the same are shown as one."""


def threads_of(instance: Instance, now_us: int) -> list[ThreadReport]:
    """What the threads of an instance that lives are doing, without frames of ours; the main thread comes last."""
    if instance.traces_user_code:
        return _traced_threads(instance, now_us)
    stopped = instance.stopped
    if stopped:
        instance.go_on()
    try:
        sleeps = {task: wait for task, wait in waits_of(instance.pid).items() if wait.sleeps}
        text = _written_stacks(instance)  # its signal may end what slept in C, which is what the stack is of
        waits = _still_waits(instance.pid) | sleeps
    finally:
        if stopped:
            instance.stop()
    stacks = list(_stacks(text))
    known = instance.threads_known()
    if stacks:
        main = stacks[-1][0]  # faulthandler has it last
        known.setdefault(main, KnownThread(main, instance.pid, "MainThread"))
    return [_report(known.get(ident), frames, waits) for ident, frames in stacks]


def _traced_threads(instance: Instance, now_us: int) -> list[ThreadReport]:
    """What the threads of a traced program do, the eldest first, at *now_us* of simulated time."""
    instance.ask_for_stacks()
    deadline = REAL.monotonic() + STACKS_LIMIT
    found: list[tuple[int, bytes]] = []
    while not found and instance.lives() and REAL.monotonic() < deadline:
        found = list(messages.FrameReader().feed(instance.stacks()))
        os.sched_yield()
    if not found:
        return []
    threads: messages.Threads = messages.unpack(messages.Threads, found[0][1])
    held = [
        ThreadReport([f"the program is waiting for an answer on a connection to {peer}"], KernelWait("", (peer,)))
        for peer in threads.held
    ]
    return [ThreadReport([_traced_text(thread, now_us)], None) for thread in threads.threads] + held


def _traced_text(thread: messages.TracedThread, now_us: int) -> str:
    named = f"{thread.process!r} (pid {thread.pid})"
    if thread.tid != thread.pid:
        named += f", thread {thread.tid}" + (f" {thread.name!r}" if thread.name != thread.process else "")
    if not thread.call:
        return f"{named} is computing"
    targets = shortened_list([Target(*each).text for each in thread.targets], FEW)
    text = f"{named} is waiting in {thread.call}()" + (f" on {targets}" if targets else "")
    if thread.due_us is None:
        return text
    return f"{text}, for {max(thread.due_us - now_us, 0) / 1_000_000:,.12g} more simulated seconds"


def _written_stacks(instance: Instance) -> str:
    if not instance.ask_for_stacks():
        return ""
    deadline = REAL.monotonic() + STACKS_LIMIT
    text = ""
    while not _is_whole(text) and REAL.monotonic() < deadline:
        text = instance.stacks().decode("utf-8", "replace")
        os.sched_yield()
    return text


def _is_whole(text: str) -> bool:
    """Whether all threads are written: the main thread comes last, down to the zygote's first line."""
    last = text[text.rfind("\n", 0, -1) + 1 :]
    match = _FRAME.match(last)
    return text.endswith("\n") and (last == "  ...\n" or (match is not None and match["file"] == "<string>"))


def _still_waits(pid: int) -> dict[int, KernelWait]:
    """The waits of those threads that do not run between two looks: one that waits for the interpreter does."""
    began = ran = REAL.monotonic()
    before = {task: picture for task, *picture in procfs.activity(pid)[1]}
    while True:
        select.select((), (), (), STILL_SECONDS)
        waits = waits_of(pid)
        after = {task: picture for task, *picture in procfs.activity(pid)[1]}
        same = {task: picture[0] for task, picture in after.items() if before.get(task) == picture}
        still = {task for task, state in same.items() if state == "S"}
        now = REAL.monotonic()
        if "R" in same.values() and now - began < STARVED_LIMIT:
            ran = now  # it is to run, and has not: it may be on its way into a wait
        if still == after.keys() or now - ran > STILL_LIMIT:
            return {task: wait for task, wait in waits.items() if str(task) in still}
        before = after


def _stacks(text: str) -> Iterator[tuple[int, list[re.Match[str]]]]:
    """The threads of ``faulthandler``, each with its frames, innermost first."""
    ident = 0
    frames: list[re.Match[str]] | None = None
    for line in text.splitlines():
        head, match = _HEAD.match(line), _FRAME.match(line)
        if head is not None:
            if frames is not None:
                yield ident, frames
            ident, frames = int(head["ident"], 16), []
        elif match is not None and frames is not None:
            frames.append(match)
    if frames is not None:
        yield ident, frames


def _report(known: KnownThread | None, frames: list[re.Match[str]], waits: dict[int, KernelWait]) -> ThreadReport:
    shown = [frame for frame in frames if not frame["file"].startswith(OWN_CODE) and frame["file"] != "<string>"]
    of_user = [frame for frame in shown if not _is_library(frame["file"])]
    known = known or KnownThread(0, 0, "")
    whose = repr(known.name) if known.name else f"of {of_user[-1]['name']}()" if of_user else "of a library"
    ours = itertools.takewhile(lambda frame: frame["file"].startswith(OWN_CODE), frames)
    parked = any(frame["file"] == _SCHEDULER for frame in ours)
    wait = waits.get(known.native)
    if parked:
        wait = KernelWait(known.wait, known.peers) if known.wait else None
    elif wait is not None and wait.sleeps and frames and frames[0]["file"] == _SUBPROCESS:
        wait = KernelWait("a wait for a child process")  # whose timeout makes it a loop of sleeps
    state = f" is in {wait.text}" if wait is not None else " is parked" if parked else ""
    lines = [f"thread {whose}{state}, most recent call first:"]
    for frame in [frame for frame in shown if frame is shown[0] or frame in of_user] if of_user else shown:
        source = linecache.getline(frame["file"], int(frame["line"])).strip() if frame in of_user else ""
        lines.append(f"  {frame['file']}:{frame['line']} in {frame['name']}" + (f": {source}" if source else ""))
    kind = "parked" if parked else "a wait" if wait is not None else ""
    return ThreadReport(lines, wait, known.name, "\n".join((kind, *lines[1:])))


def lines_of(threads: Iterable[ThreadReport]) -> list[str]:
    """What a user reads of *threads*: those that do the same together, and not more than a few."""
    alike: dict[tuple[bool, str], list[ThreadReport]] = {}
    for number, thread in enumerate(threads):
        alike.setdefault((bool(thread.name), thread.does or str(number)), []).append(thread)
    *groups, last = [*alike.values()] or [[]]
    lines: list[str] = []
    left = 0
    for group in [*groups, last]:
        if not group or (group is not last and len(lines) + len(group[0].lines) + len(last[0].lines) > LINES_SHOWN):
            left += len(group)
            continue
        first, *others = group
        lines += first.lines
        if others:
            names = [repr(other.name) for other in others if other.name]
            named = f": {shortened_list(names, NAMES_SHOWN)}" if names else ""
            more = "1 more thread does" if len(others) == 1 else f"{len(others)} more threads do"
            lines.append(f"  {more} the same{named}")
    return [*lines, f"{left} more thread{'s do' if left > 1 else ' does'} something else"] if left else lines


def _is_library(file: str) -> bool:
    return file.startswith(_STANDARD_LIBRARY) or "site-packages" in file
