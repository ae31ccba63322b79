"""``scf_clock.running(rate=…)``: time flows while the test sits in a program that cannot be patched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import hidden_from_users
from .calls import Call, Rate
from .scheduler import Lockstep

__all__ = ["running"]

__tracebackhide__ = hidden_from_users


@contextmanager
def running(lockstep: Lockstep, rate: float) -> Iterator[None]:
    """Time flows, in a thread of its own that drives instances; see ``SimulatedClock.running``."""
    left = threading.Event()
    raised: list[BaseException] = []
    call = Call(
        f"running(rate={rate:g})", left.is_set, moves_clock=True, opens_all_gates=True, flow=Rate(lockstep.clock, rate)
    )
    with lockstep.locked():
        lockstep.begin_flowing(call)

    def flow() -> None:
        try:
            lockstep.drive(call)
        except BaseException as error:  # noqa: BLE001  (the test gets it, on leaving)
            raised.append(error)
        finally:
            lockstep.stop_flowing()

    thread = threading.Thread(target=flow, name="pytest_scf_async running", daemon=True)
    try:
        thread.start()
        yield
    finally:
        left.set()
        if thread.ident is not None:
            thread.join()
        lockstep.stop_flowing()
    if raised and not lockstep.closed:
        raise raised[0]
