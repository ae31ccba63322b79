"""Processes forked ahead of time for each zygote: the next cold start finds them ready, of whatever function it is."""

from __future__ import annotations

import threading

from ..errors import HarnessError
from ..linux.bind_mounts import are_up_to_date
from ..protocol import messages
from .instance import START_LIMIT, Instance
from .zygote import Zygote

_preforked: dict[Zygote, Instance] = {}
_lock = threading.RLock()
"""Re-entrant: the garbage collector may close a forgotten runtime under it."""


def take_preforked(zygote: Zygote, hint: messages.Expect) -> Instance | None:
    """The process that is ready, if it is as *hint* wants it; one that is not ends."""
    with _lock:
        preforked = _preforked.pop(zygote, None)
    if preforked is None:
        return None
    if preforked.hint.common == hint.common and _is_up_to_date(preforked, hint.inodes):
        return preforked
    preforked.release()  # its channel is closed, and so it ends
    return None


def prefork(zygote: Zygote, hint: messages.Expect) -> None:
    """Have a process ready that is as *hint* says."""
    with _lock:
        if not zygote.alive:
            return
        try:
            if zygote not in _preforked:
                _preforked[zygote] = Instance(zygote, hint)
        except (OSError, HarnessError):
            return  # it is reported where an instance is needed
        zygote.at_end.add(_forget)


def _is_up_to_date(preforked: Instance, inodes: list[int]) -> bool:
    """Whether it lives, and what is bound in its mount namespace has not been removed, replaced or unmounted since."""
    preforked.zygote.receive_until(lambda: preforked.pid > 0 or preforked.gone, START_LIMIT)
    if not preforked.lives():
        return False
    common = preforked.hint.common
    return common is None or are_up_to_date(f"/proc/{preforked.pid}/root", common.binds, inodes)


def _forget(zygote: Zygote) -> None:
    with _lock:
        preforked = _preforked.pop(zygote, None)
    if preforked is not None:
        preforked.release()  # the process ends with its zygote
