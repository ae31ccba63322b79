"""What a runtime takes from the pytest session in which it is made, unless it is given something else.

It imports nothing of the rest, as the plugin imports it when pytest starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from .async_event import AsyncEvent, InstanceView
    from .model.log_lines import LogLine
    from .options import ScfSettings


class Defaults:
    """The keywords of ``ScfRuntime``; without a session, what it has when it is given none.

    A plain class is made in a tenth of the time that a named tuple takes.
    """

    def __init__(
        self,
        *,
        settings: ScfSettings | None = None,
        lookup: tuple[str | os.PathLike[str], ...] = (),
        base_temp: str | os.PathLike[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        on_instance_started: Callable[[InstanceView], object] | None = None,
        on_event_ended: Callable[[AsyncEvent], object] | None = None,
        on_log_line: Callable[[AsyncEvent, LogLine], object] | None = None,
        launcher: Callable[[Any], object] | None = None,
        sweep_guide: Callable[[], object] | None = None,
    ) -> None:
        self.settings = settings
        self.lookup = lookup
        self.base_temp = base_temp
        self.root = root
        self.on_instance_started = on_instance_started
        self.on_event_ended = on_event_ended
        self.on_log_line = on_log_line
        self.launcher = launcher
        self.sweep_guide = sweep_guide


_sessions: list[Callable[[], Defaults]] = []
"""The sessions of this process, the innermost one last: pytester runs one in another."""


def begin(defaults: Callable[[], Defaults]) -> None:
    """A session begins: runtimes ask *defaults* from here on."""
    _sessions.append(defaults)


def end(defaults: Callable[[], Defaults]) -> None:
    """The session of these *defaults* is over."""
    _sessions.remove(defaults)


@contextmanager
def outside() -> Iterator[None]:
    """What is made in the ``with`` block takes nothing from a session."""
    begin(Defaults)
    try:
        yield
    finally:
        end(Defaults)


def defaults() -> Defaults:
    """What a runtime that is made now takes."""
    return _sessions[-1]() if _sessions else Defaults()
