"""The waits of an event within a sentence: ``Task-1 was stuck at the `await` on x.py:61``.

A row of a timeline has the text that the instance made (``await at x.py:61 in Task-1``), short and in columns. Within a
sentence the same facts need a subject, and a place that is no part of the name of the call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..protocol.shortening import shortened_list
from ..protocol.wait_texts import Wait, more_tasks, named, waits_of

_NUMBERED = re.compile(r"(?:Task|Thread)-\d")
"""How names that Python gives begin; they say themselves what they name."""


def who_waits(description: str, default: str, verb: str) -> str:
    """Who waits where: ``Task-1 was stuck at the `await` on x.py:61``.

    *verb* is ``stuck``, ``still`` or empty; *default* is the subject of a wait that no named thread or task makes.
    """
    clauses = [
        " ".join(filter(None, (enumerated(names), *(() if at else ("were" if names[1:] else "was", verb)), call)))
        for at, (call, names) in enumerate(_who_by_place(description, default).items())
    ]
    more = more_tasks(description)
    also = f", as {'were' if more > 1 else 'was'} {more:,} more task{'s' if more > 1 else ''}," if more else ""
    return enumerated(clauses) + also


def where(description: str) -> str:
    """The call and its line, and who makes it where that is named: ``in `sleep(5)` on x.py:6, in Thread-1 (f)``."""
    by_place = _who_by_place(description, "").items()
    return enumerated([f"{call}, in {enumerated(names)}" if any(names) else call for call, names in by_place])


def _who_by_place(description: str, default: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for wait in waits_of(description):
        found.setdefault(place(wait), []).append(subject(wait, default))
    return found


def subject(wait: Wait, default: str) -> str:
    """The task, the thread or the process that waits; *default* where that is none of them."""
    if wait.task:
        return _name("task", wait.task) + (f" (in {_name('thread', wait.thread)})" if wait.thread else "")
    if wait.thread:
        return _name("thread", wait.thread)
    return "a child process" if wait.in_child else default


def place(wait: Wait) -> str:
    """The call and its line: ``at the `await` on x.py:5``, ``in `recv` on x.py:5 (on a connection to …)``."""
    line = f" on {named(wait.file)}:{wait.line}" if wait.file else ""
    words = wait.call.split()
    if not words or words[0] in {"a", "an"}:  # the kernel has no name for it
        return f"in a wait for {wait.call or 'something'}{line}"
    awaits = words[0] == "await"
    of_code = 1 + (awaits and len(words) > 1 and words[1] != "on")
    code, rest = " ".join(words[:of_code]), words[of_code:]
    behind = ""
    if rest and rest[0] == "on":
        rest, behind = [], f" ({' '.join(rest)})"
    elif rest and rest[0] == "in":
        rest = [f"(called by {' '.join(rest[1:])})"]
    before = "in" if not awaits else "at the" if of_code == 1 else "at"
    return f"{' '.join([before, f'`{code}`', *rest])}{line}{behind}{_held(wait)}"


def _held(wait: Wait) -> str:
    if wait.without_holder:
        return " (which no task holds in an `async with`)"
    if not wait.holders:
        return ""
    holders = [
        f"{'itself' if each.task == 'itself' else _name('task', each.task)} at {named(each.file)}:{each.line}"
        for each in wait.holders
    ]
    more = f" and {wait.more_holders:,} more" if wait.more_holders else ""
    names = f"{shortened_list(holders, len(holders))}{more}"
    return f" (which {names} can end)" if wait.is_up_to_holders else f" (held by {names})"


def _name(kind: str, name: str) -> str:
    return name if _NUMBERED.match(name) else f"{kind} {named(name)}"


def enumerated(texts: Sequence[str]) -> str:
    """*texts* as English lists them: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(texts[:-1])] * (len(texts) > 1) + [*texts[-1:]])
