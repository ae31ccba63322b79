"""The text of a wait: its call, the line of user code, the thread or task; made in instances, and read for traces.

A wait is described where it begins, once for each place, and the text goes with its message or the record of a lease.
``wait_of`` reads the parts back. A name that would be misread (a thread called ``a at b.py:3``) is written as Python
writes a text, in quotes, so that each text has one meaning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

from .shortening import shortened_list


class Holder(NamedTuple):
    """A task that has entered ``async with`` of a lock for which another one waits, or can end another's wait."""

    task: str
    """Its name; ``itself``: it is the one that waits."""
    file: str
    line: int


class Wait(NamedTuple):
    """What a text of a wait says of one thread or task."""

    call: str
    """What waits, with what it waits on: ``sleep(5)``, ``await Lock.acquire``."""
    file: str = ""
    """The base name of the file of user code; empty: no code of the user's is on the stack."""
    line: int = 0
    thread: str = ""
    """The name of its thread; empty: the main one."""
    task: str = ""
    """The name of its task of asyncio; empty: it is none."""
    holders: tuple[Holder, ...] = ()
    """Who holds the lock of asyncio's that it waits for, or can end its wait: those that its text names."""
    more_holders: int = 0
    """How many more there are."""
    without_holder: bool = False
    """It waits for a lock of asyncio's, of which no task is in an ``async with``."""
    is_up_to_holders: bool = False
    """It waits for no lock: ``holders`` can end its wait."""
    in_child: bool = False
    """It is of a process that the program has started."""

    @property
    def seconds(self) -> float | None:
        """For how long it sleeps; None: it is no sleep, or its text has not all digits of that."""
        found = _SLEEP.fullmatch(self.call)
        return None if found is None else float(found[1])

    @property
    def joins(self) -> str:
        """The name of the thread for whose end it waits, however long that takes; else empty."""
        found = _patterns()[-1].fullmatch(self.call)
        return "" if found is None else _name(found[1])


_SLEEP = re.compile(r"sleep\((\d{1,3}(?:\.\d{1,2})?|\d\.\d{1,4}|\d{4,5})\)")
"""Of more than five digits the text has the first six, rounded."""

# -- made ------------------------------------------------------------------------------------------------------------

_WORDS = r" at | in | and | on |,| \(held | \(up | \(no "
"""What stands between the parts of a text."""
_CHILD = "a child process"
_MISREAD = re.compile(rf"""{_WORDS}|^ ['"]|^  |  $|^ {_CHILD} $""")
_NO_FILE = re.compile(r"[\[@]|[\d.]+(?::|$)")
"""How the names of addresses begin, or what they are, which stand in front of a number as a file does."""


@lru_cache(256)
def named(name: str) -> str:
    """*name* within a text of a wait: in quotes where it could be read as another part of the text."""
    return name if name and name.isprintable() and _MISREAD.search(f" {name} ") is None else _quoted(name)


def _quoted(name: str) -> str:
    return repr(name).replace(" ", r"\x20")  # without spaces no part of the text can begin in it


def at(call: str, file: str, line: int) -> str:
    """*call* at a line of a file, of which only the base name is shown."""
    base = file.rpartition("/")[2]
    return f"{call} at {_quoted(base) if _NO_FILE.match(base) else named(base)}:{line}"


def within(name: str) -> str:
    """What is put behind a wait of the thread or task *name*."""
    return f" in {named(name)}"


IN_CHILD: Final = f" in {_CHILD}"
"""What is put behind a wait of a process that the program has started."""


def ended_by(holders: Sequence[Holder], most: int, *, is_lock: bool) -> str:
    """What is put behind a wait for a lock that *holders* have, or that they can end; *most* of them are named."""
    texts = [at(named(each.task), each.file, each.line) for each in holders]
    if not texts:
        return " (no task is in an `async with` of it)" if is_lock else ""
    return f" ({'held by' if is_lock else 'up to'} {shortened_list(texts, most)})"


def together(waits: Sequence[str], number: int) -> str:
    """The waits of tasks as one text, which are the first of a *number* of them."""
    return " and ".join([*waits, f"{number - len(waits)} more"] if len(waits) < number else waits)


# -- read ------------------------------------------------------------------------------------------------------------

_QUOTED = r"""'(?:[^'\\ ]|\\.)*'|"(?:[^"\\ ]|\\.)*\""""
_NAME = rf"(?:{_QUOTED}|(?:(?!{_WORDS}).)+?)"
_FILE = rf"(?:{_QUOTED}|(?![\[@'\"])(?![\d.]+:)(?:(?!{_WORDS})[^/])+?)"
_HOLDER = rf"(?P<task>{_NAME}) at (?P<file>{_FILE}):(?P<line>\d+)(?:, |(?= and )|$)"
_HELD = (
    r" \((?:(?:held by|(?P<up>up to)) (?P<held>.*?)(?: and (?P<more>\d+) more)?|"
    r"(?P<none>no) task is in an `async with` of it)\)"
    r"(?= and | on | in |$)"
)
_AWAIT = rf"(?P<call>await(?: [\w.]+)?) at (?P<file>{_FILE}):(?P<line>\d+)"
_TASK = rf"(?: and )?{_AWAIT} in (?P<task>{_NAME})(?:{_HELD})?(?= and | on | in |$)"


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    thread = rf"(?:(?P<child>{IN_CHILD})| in (?P<thread>{_NAME}))?"
    whole = (rf"(?P<call>.*) at (?P<file>{_FILE}):(?P<line>\d+){thread}", rf"(?P<call>.*?){thread}")
    after_tasks = rf"(?: and (?P<more>\d+) more)?(?P<on> on .*?)?{thread}"
    texts = (*whole, _TASK, after_tasks, _HOLDER, rf"join of ({_QUOTED}|(?!['\"]).+)")
    return tuple(re.compile(text, re.DOTALL) for text in texts)


def _tasks_of(text: str) -> tuple[list[re.Match[str]], re.Match[str] | None]:
    """The waits of tasks with which *text* begins, and what follows them; None where that is no text of tasks."""
    _, _, task, after_tasks, *_ = _patterns()
    tasks = []
    position = 0
    while (found := task.match(text, position)) is not None:
        tasks.append(found)
        position = found.end()
    return tasks, after_tasks.fullmatch(text, position) if tasks else None


def more_tasks(text: str) -> int:
    """How many tasks wait beside those that *text* names."""
    rest = _tasks_of(text)[1]
    return 0 if rest is None else int(rest["more"] or 0)


def waits_of(text: str) -> tuple[Wait, ...]:
    """What *text* says: a wait, or one for each task that it names. One that has no such form is a call alone."""
    with_place, without, *_ = _patterns()
    tasks, rest = _tasks_of(text)
    if rest is not None:
        thread, on = _name(rest["thread"]), rest["on"] or ""
        return tuple(
            Wait(
                each["call"] + on,
                _name(each["file"]),
                int(each["line"]),
                thread,
                _name(each["task"]),
                _held(each),
                int(each["more"] or 0),
                each["none"] is not None,
                each["up"] is not None,
            )
            for each in tasks
        )
    found = with_place.fullmatch(text)
    if found is not None:
        return (Wait(found["call"], _name(found["file"]), int(found["line"]), _name(found["thread"])),)
    found = without.fullmatch(text)
    assert found is not None  # any text is a call
    return (Wait(found["call"], thread=_name(found["thread"]), in_child=found["child"] is not None),)


def _held(found: re.Match[str]) -> tuple[Holder, ...]:
    holder = _patterns()[-2]
    return tuple(
        Holder(_name(each["task"]), _name(each["file"]), int(each["line"]))
        for each in holder.finditer(found["held"] or "")
    )


def _name(text: str | None) -> str:
    """What `named` was given."""
    if not text or text[0] not in "'\"":
        return text or ""
    from ast import literal_eval  # noqa: PLC0415  (instances make texts, and never read one)

    return str(literal_eval(text))
