"""Real costs as text: what simulated time does not count of an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .timeline import seconds_text, stretch_text

if TYPE_CHECKING:
    from ..lockstep.real_stretches import RealCost

SHOWN = 0.01
"""Real seconds from which a part of a cost is shown."""


def cost_text(cost: RealCost) -> str:
    """The parts of a cost, each with its seconds; empty where all are too small to be shown."""
    return " and ".join(stretch_text(kind, seconds) for kind, seconds in _parts(cost).items() if seconds >= SHOWN)


def _parts(cost: RealCost) -> dict[str, float]:
    return {"computing": cost.computing, "children": cost.children, "waiting": cost.waiting}


def _largest_part(cost: RealCost) -> str:
    """The largest part of a cost that counts (``stop_noise=0``) although no part of it is large enough to be shown."""
    kind, seconds = max(_parts(cost).items(), key=lambda part: part[1])
    return stretch_text(kind, seconds)


def passed_text(simulated_us: int, cost: RealCost, noise: float, source: str) -> str:
    """How long something took, in simulated time and beside it; real parts below *noise* are said not to count."""
    simulated, real = seconds_text(simulated_us), cost_text(cost)
    if not real and cost.total < noise:
        return simulated
    if cost.total < noise:
        return f"{simulated} (not counted: it {real}, less than stop_noise={noise:g}, {source})"
    return f"{simulated} of simulated time, in which it {real or _largest_part(cost)},"


def real_cause(cost: RealCost) -> str:
    """One sentence about an end that came too late for its real cost."""
    return (
        f"after SIGTERM it {cost_text(cost) or _largest_part(cost)}: this takes no simulated time here, but it takes "
        "time on the platform, so it counts"
    )
