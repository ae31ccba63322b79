"""A process forked ahead of time for each zygote: the next cold start finds it ready, of whatever function it is."""

from __future__ import annotations

import threading

from ..errors import HarnessError
from ..protocol import messages
from ..protocol.bind_mounts import are_up_to_date
from .instance import START_LIMIT, Instance
from .zygote import Zygote

_spares: dict[Zygote, Instance] = {}
_lock = threading.RLock()
"""Re-entrant: the garbage collector may close a forgotten runtime under it."""


def take_spare(zygote: Zygote, hint: messages.JsonObject) -> Instance | None:
    """The process that is ready, if it is as *hint* wants it; one that is not ends."""
    with _lock:
        spare = _spares.pop(zygote, None)
    if spare is None:
        return None
    if spare.hint["common"] == hint["common"] and _is_up_to_date(spare, hint["inodes"]):
        return spare
    spare.release()  # its channel is closed, and so it ends
    return None


def keep_spare(zygote: Zygote, hint: messages.JsonObject) -> None:
    """Have a process ready that is as *hint* says."""
    with _lock:
        if zygote in _spares or not zygote.alive:
            return
        try:
            _spares[zygote] = Instance(zygote, hint)
        except (OSError, HarnessError):
            return  # it is told where an instance is needed
        if not zygote.at_end:
            zygote.at_end.append(lambda: _forget(zygote))


def spare_of(zygote: Zygote) -> Instance | None:
    """The process that is ready, which stays so."""
    return _spares.get(zygote)


def _is_up_to_date(spare: Instance, inodes: list[int]) -> bool:
    """Whether it lives, and what is bound in its mount namespace has not been removed, replaced or unmounted since."""
    spare.zygote.hear_until(lambda: spare.pid > 0 or spare.gone, START_LIMIT)
    if not spare.lives():
        return False
    common = spare.hint["common"]
    return common is None or are_up_to_date(f"/proc/{spare.pid}/root", common["binds"], inodes)


def _forget(zygote: Zygote) -> None:
    with _lock:
        spare = _spares.pop(zygote, None)
    if spare is not None:
        spare.release()  # the process ends with its zygote
