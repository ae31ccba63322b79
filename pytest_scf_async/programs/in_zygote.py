"""What programs and recordings have in the zygote, its reaper and its forks; what is not light is imported late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import bind_filter  # noqa: F401  (the reaper and the zygote take it from here)

if TYPE_CHECKING:
    from ..protocol import messages
    from ..python.role import Role


def import_ahead(hint: messages.Expect) -> None:
    """In the zygote: import once what the instances need that *hint* announces."""
    if hint.program:
        from . import agent, image, roles  # noqa: F401, PLC0415
        from .supervisor import container, supervisor  # noqa: F401, PLC0415
    if hint.wing_part is not None:
        from . import roles  # noqa: F401, PLC0415
        from .supervisor import recorder  # noqa: F401, PLC0415


def role_of(config: messages.Assign) -> Role | None:
    """The role of an instance with *config*; None: it has no program, and is not recorded."""
    if config.program is None and not config.recorded:
        return None
    from . import roles  # noqa: PLC0415

    return roles.role_of(config)


def why_untraced() -> str:
    """Try to trace a program: why that cannot be; empty: it can."""
    from .supervisor import probe  # noqa: PLC0415

    return probe.why_not()


def record(orders: int) -> None:
    """Be a recorder, which takes its order from the descriptor *orders*."""
    from .supervisor import recorder  # noqa: PLC0415

    recorder.serve(orders)
