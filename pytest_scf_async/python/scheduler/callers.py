"""Which line of user code made a call, for the texts that name a wait, and which thread or task of asyncio it is of."""

from __future__ import annotations

import _thread
import gc
import opcode
import os
import sys
import threading
from collections.abc import Iterable
from types import (
    AsyncGeneratorType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

from ...protocol import wait_texts
from ...protocol.own_code import OWN_CODE

_get_ident = _thread.get_ident
_main_ident = _get_ident()
"""That of the main thread: this is imported there, and a fork keeps it."""

_STANDARD = os.path.dirname(os.__file__)
_LIBRARIES = os.path.join(_STANDARD, ""), OWN_CODE, "<frozen"
_PACKAGES = "site-packages", "dist-packages"
_NOT_USERS = os.path.join(_STANDARD, "asyncio", ""), OWN_CODE
_LOCKS, _QUEUES, _GROUPS, _TASKS = (
    os.path.join(_NOT_USERS[0], f"{name}.py") for name in ("locks", "queues", "taskgroups", "tasks")
)
_OF_TASKS = _LOCKS, _QUEUES, _GROUPS
"""What tasks wait in for each other."""
PLUMBING = {
    os.path.join(_STANDARD, *name.split(".")) + ".py": name
    for name in ("threading", "queue", "selectors", "socket", "concurrent.futures._base", "concurrent.futures.thread")
}
PLUMBING[os.path.join(_STANDARD, "subprocess.py")] = "subprocess"
for _name in ("base_events", "events", "runners", "streams"):
    PLUMBING[os.path.join(_STANDARD, "asyncio", _name + ".py")] = "asyncio"
"""Modules, mostly of the standard library, that wait on behalf of their callers. Texts name the line of the caller."""


def is_library(file: str) -> bool:
    """Whether the code in *file* is no user's: the plugin's, the standard library's or that of an installed package."""
    return file.startswith(_LIBRARIES) or any(name in file for name in _PACKAGES)


def is_standard(file: str) -> bool:
    """Whether the code in *file* is that of the standard library, or the plugin's."""
    return file.startswith(_LIBRARIES) and not any(name in file for name in _PACKAGES)


def user_frame(frame: FrameType | None) -> FrameType | None:
    """The nearest frame from *frame* outwards that is not ours."""
    while frame is not None and frame.f_code.co_filename.startswith(OWN_CODE):
        frame = frame.f_back
    return frame


_passed: dict[int, tuple[CodeType, str]] = {}
"""By identity: code that is not the user's, and the name of a wait that user code starts by calling it."""
_described: tuple[Any, str] = (None, "")
"""The last description and what it describes: a loop waits at the same place again and again."""


def describe_caller(description: str, on: str = "") -> str:
    """*description* with what the call is made *on*, and the line of user code that called it.

    Of another thread than the main one it has the name. Where the loop of asyncio waits for an instant, it is the task
    that goes on then, with the line at which that awaits: the loop's caller is the same for all of them.
    """
    global _described
    call = description
    in_loop = False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        passed = _passed.get(id(code))
        if passed is None:
            module = PLUMBING.get(code.co_filename)
            if module is None and not code.co_filename.startswith(OWN_CODE):
                break
            passed = _passed[id(code)] = code, "" if module is None else f"{module}.{code.co_name}"
        if passed[1]:
            description = passed[1]
            in_loop = in_loop or description == "asyncio._run_once"
        frame = frame.f_back
    description += on
    if in_loop:
        awaited = _awaited()
        if awaited:
            return awaited + on + _in_thread()
    if frame is None:  # a thread whose target is no code of the user's
        return call + on + _in_thread()
    place = description, frame.f_code, frame.f_lasti
    known, text = _described
    if place != known:
        text = wait_texts.at(description, frame.f_code.co_filename, frame.f_lineno)
        _described = place, text
    return text + _in_thread()


def frame_that_calls(frame: FrameType | None) -> FrameType | None:
    """The frame whose call a signal has come in, that interrupts *frame*: one that has only begun has called nothing.

    Code in C may call back Python, as for a codec, before it returns; or what comes next begins, as it has raised.
    """
    if frame is None or not (frame.f_lasti < 0 or frame.f_code.co_code[frame.f_lasti] == _BEGINS):
        return frame
    return frame.f_back


_BEGINS = opcode.opmap.get("RESUME", -1)


def call_of_user(frame: FrameType | None = None) -> tuple[FrameType, str]:
    """The innermost frame of user code, and the function of a library that it calls; empty if it calls none.

    Looked for is from *frame* outwards, or from the caller. Where no code of the user's is on the stack, it is the
    outermost frame.
    """
    frame = frame or sys._getframe(1)
    called = ""
    while True:
        code = frame.f_code
        known = _calls.get(id(code))
        if known is None:
            file = code.co_filename
            is_users = not file.startswith((_STANDARD, OWN_CODE, "<frozen")) and "-packages" not in file
            name = f"{frame.f_globals.get('__name__', '')}.{code.co_name}"
            known = _calls[id(code)] = code, is_users, "" if file.startswith(OWN_CODE) else name
        if known[1] or frame.f_back is None:
            return frame, called
        called = known[2] or called
        frame = frame.f_back


_calls: dict[int, tuple[CodeType, bool, str]] = {}
"""By identity: code, whether it is the user's, and its name in texts; of ours it is empty."""


def describe_call(description: str, on: str, frame: FrameType | None = None) -> str:
    """The same for a wait that another process may end. Named is the call of user code within which it is.

    In which line of a library it comes, and how often, depends on how quick the others are.
    """
    frame, called = call_of_user(frame)
    if on and called.startswith("asyncio."):  # beside children alone, what the tasks await depends on these
        return describe_caller(description, on)
    return wait_texts.at(f"{called or description}{on}", frame.f_code.co_filename, frame.f_lineno) + _in_thread()


def in_loop() -> bool:
    """Whether a loop of asyncio runs in this thread."""
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


def _in_thread() -> str:
    """The name of this thread, behind a description; nothing of the main one."""
    ident = _get_ident()
    if ident == _main_ident:
        return ""
    thread = threading._active.get(ident)  # type: ignore[attr-defined]  # current_thread() would make one of our own
    return "" if thread is None else wait_texts.within(thread.name)


def _awaited() -> str:
    """The task that the running loop waits for, and where it awaits; empty if not known.

    That is the one which the next instant that is due wakes; where none is due, those that await what comes from
    outside, as long as they are few, or the first of many that all wait for each other. It is asked before each wait of
    a loop, so it takes no more than it needs.
    """
    try:
        loop = sys.modules["asyncio.events"]._get_running_loop()
        if not loop._scheduled:
            tasks = _awaiting_tasks(loop)
            if len(tasks) > _FEW_TASKS + 1 and not _await_each_other(tasks):
                return ""
            places = [(place, task) for task in tasks if (place := _place_of(task))]
            if len(places) > _FEW_TASKS and not _await_each_other(tasks):
                return ""
            return wait_texts.together([place + _who_ends(task) for place, task in places[:_FEW_TASKS]], len(places))
        timer = loop._scheduled[0]
        callback = timer._callback
        if hasattr(callback, "__self__"):  # of asyncio.timeout
            return _place_of(callback.__self__._task)
        return _place_of(timer._args[0]._callbacks[0][0].__self__)
    except (AttributeError, IndexError, KeyError, TypeError):
        return ""  # a callback of call_later, or another loop: its caller is named


_FEW_TASKS = 2
"""So many tasks are named together, beside one that waits for them in a ``TaskGroup``."""
_MANY_TASKS = 64


def _awaiting_tasks(loop: Any) -> list[Any]:
    """The tasks of *loop* that wait, but not for other tasks of it; by their names, as a set has no order.

    None of them where there are many: a server would look at all of them before each wait.
    """
    tasks = sys.modules["asyncio.tasks"]
    known: Any = getattr(tasks, "_scheduled_tasks", None) or getattr(tasks, "_all_tasks", ())  # the latter up to 3.11
    if len(known) > _MANY_TASKS or len(every := tasks.all_tasks(loop)) > _MANY_TASKS:  # Python 3.14 has not the first
        return []
    of_tasks = tasks.Task, tasks._GatheringFuture
    found = [task for task in every if not (isinstance(task._fut_waiter, of_tasks) or _awaits_in(task) == _TASKS)]
    return sorted(found, key=lambda task: (len(task.get_name()), task.get_name()))


def tasks_acquire() -> bool:
    """Whether the tasks of the running loop that wait, but not for other tasks, all wait to acquire a lock."""
    try:
        ends = [_chain_of(task)[-1][1] for task in _awaiting_tasks(sys.modules["asyncio.events"]._get_running_loop())]
    except (AttributeError, IndexError):  # those of another loop
        return False
    return {_call_on(frame)[0] for frame in ends if frame.f_code.co_filename != _GROUPS} == {"acquire"}


def _await_each_other(tasks: list[Any]) -> bool:
    """Whether only tasks end what these await, and nothing from outside."""
    return all(_awaits_in(task) in _OF_TASKS for task in tasks)


def _awaits_in(task: Any) -> str:
    """The file of the code in which *task* awaits; empty: it is a coroutine of a library in C."""
    chain = _chain_of(task)
    return chain[-1][1].f_code.co_filename if chain else ""


def _chain_of(task: Any) -> list[tuple[Any, FrameType]]:
    """The coroutines and generators in which *task* awaits, outermost first, each with its frame."""
    chain: list[tuple[Any, FrameType]] = []
    awaited = task.get_coro()
    while True:
        of = type(awaited)
        if of is CoroutineType:
            frame, inner = awaited.cr_frame, awaited.cr_await
        elif of is GeneratorType:
            frame, inner = awaited.gi_frame, awaited.gi_yieldfrom
        elif of is AsyncGeneratorType:
            frame, inner = awaited.ag_frame, awaited.ag_await
        elif of.__name__.startswith("async_generator_"):  # a step of one, which shows it to the garbage collector alone
            awaited = gc.get_referents(awaited)[0]
            continue
        else:
            return chain
        if frame is not None:
            chain.append((awaited, frame))
        awaited = inner


def _who_ends(task: Any) -> str:
    """Behind the place of *task*: the tasks that can end what it waits for, and where each is.

    Of a lock these are those within an ``async with`` of it. An asynchronous lock does not know its owner. The
    interpreter keeps ``__aexit__`` of what it has to leave on the stack of the coroutine, which only the garbage
    collector is shown. Of anything else it is those whose code has it, and a call that ends a wait for it.
    """
    chain = _chain_of(task)
    call, awaited = _call_on(next((each for _, each in chain if each.f_code.co_filename == _QUEUES), chain[-1][1]))
    awaited = awaited if call else task._fut_waiter
    ends = next(
        (_ENDS[each] for of in type(awaited).__mro__ if (each := f"{of.__name__}.{call}") in _ENDS), frozenset()
    )
    found = []
    for other in sys.modules["asyncio.tasks"].all_tasks():
        chain = _chain_of(other)
        frames = [
            frame
            for at, (coroutine, frame) in enumerate(chain)
            if (
                _is_within(chain, at, awaited)
                if call == "acquire"
                else other is not task and _ends(coroutine, frame, awaited, ends)
            )
        ]
        if frames:
            name = "itself" if other is task else other.get_name()
            found.append(wait_texts.Holder(name, frames[-1].f_code.co_filename, frames[-1].f_lineno))
    return wait_texts.ended_by(sorted(found), _FEW_TASKS, is_lock=call == "acquire")


_ENDS = {
    "Event.wait": frozenset({"set"}),
    "Condition.wait": frozenset({"notify", "notify_all"}),
    "Barrier.wait": frozenset({"wait", "abort"}),
    "Queue.get": frozenset({"put", "put_nowait"}),
    "Queue.put": frozenset({"get", "get_nowait"}),
    "Queue.join": frozenset({"task_done"}),
    "Future.": frozenset({"set_result", "set_exception", "cancel"}),
}
"""By what a task awaits: what another one calls to end it."""


def _ends(coroutine: Any, frame: FrameType, awaited: Any, ends: frozenset[str]) -> bool:
    """Whether the code of *coroutine* has one of the calls *ends*, and *awaited*, or an object with it as an attribute.

    The garbage collector shows what its variables are: ``f_locals`` would keep them alive.
    """
    if ends.isdisjoint(frame.f_code.co_names) or frame.f_code.co_filename.startswith(_NOT_USERS):
        return False
    values = gc.get_referents(coroutine, frame)
    values += gc.get_referents(*(each for each in values if type(each) is CellType))
    values += map(frame.f_globals.get, frame.f_code.co_names)
    return any(each is awaited for value in values for each in (value, *_attributes_of(value)))


def _attributes_of(value: Any) -> Iterable[Any]:
    try:  # no code of the user's is called
        return (
            () if issubclass(type(value), (ModuleType, type)) else object.__getattribute__(value, "__dict__").values()
        )
    except AttributeError:
        return ()


def _is_within(chain: list[tuple[Any, FrameType]], at: int, lock: Any) -> bool:
    """Whether a coroutine of *chain* has entered ``async with`` of *lock*, or of a condition that has this lock."""
    leave = type(lock).__aexit__
    stack = gc.get_referents(*chain[at])
    left = [
        getattr(each, "__self__", after)  # from Python 3.14 on it is no method, and the lock is behind it
        for each, after in zip(stack, [*stack[1:], None], strict=True)
        if each is leave or (type(each) is MethodType and each.__func__ is leave)
    ]
    calls = [_call_on(frame) for _, frame in chain[at + 1 :]]
    if calls and calls[0][0] == "__aenter__":
        del left[-1:]  # it is there before that is over
    held = [each for each in left if ("wait", each) not in calls]  # a condition that waits has released its lock
    return any(lock in (each, getattr(each, "_lock", None)) for each in held)


def _call_on(frame: FrameType) -> tuple[str, Any]:
    """The method of a lock, an event, a queue or the like of asyncio that *frame* runs, and its object, if any."""
    code = frame.f_code
    return (code.co_name, frame.f_locals.get("self")) if code.co_filename in (_LOCKS, _QUEUES) else ("", None)


def _place_of(task: Any) -> str:
    """The line at which *task* awaits, and its name; empty where no line of user code does."""
    users: FrameType | None = None
    inner: FrameType | None = None
    for _, frame in _chain_of(task):
        if not frame.f_code.co_filename.startswith(_NOT_USERS):
            users = frame
        elif frame.f_code.co_filename in _OF_TASKS:
            inner = frame
    if users is None:
        return ""
    of = "" if inner is None else type(inner.f_locals.get("self")).__name__
    on = "" if inner is None else f" {of}.{inner.f_code.co_name}"
    if of == "TaskGroup":
        return ""
    return wait_texts.at(f"await{on}", users.f_code.co_filename, users.f_lineno) + wait_texts.within(task.get_name())
