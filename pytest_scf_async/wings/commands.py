"""The commands of wings, in the order in which the command line lists them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ..conformance.command import add_conformance, run_conformance
from ..deployable.command import add_check, run_check
from ..endpoint.serve import add_serve, run_serve
from ..sweep.command import add_sweep, run_sweep
from ..trace.command import add_trace, run_trace


@dataclass(frozen=True)
class Command:
    """A command of a wing."""

    name: str
    add: Callable[[Any], None]
    """Adds it to argparse's commands."""
    run: Callable[[Namespace], int]
    """Runs it; what the process ends with."""


COMMANDS: Final = (
    Command("sweep", add_sweep, run_sweep),
    Command("serve", add_serve, run_serve),
    Command("conformance", add_conformance, run_conformance),
    Command("check", add_check, run_check),
    Command("trace", add_trace, run_trace),
)
