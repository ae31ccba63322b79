"""A version of a function: what an event runs, and what an instance is an instance of."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.configuration import FunctionConfiguration
from .code import Code, Copy
from .layers import layer_below_which
from .runtimes.strategy import Runtime


@dataclass(eq=False)
class FunctionVersion:
    """What an event runs: the code and the configuration as they were at its acceptance."""

    configuration: FunctionConfiguration
    code: Code
    version: str
    runtime: Runtime
    """How its instances are spawned, spoken to and ended."""
    description: str = ""
    """A published version's own."""
    added_us: int = 0
    """When it was made, and when it was changed: µs of simulated time."""
    modified_us: int = 0
    active_us: int = 0
    """When it can be invoked."""
    copy: Copy | None = None
    """A published version's own copy of the code."""
    retired: str | None = None
    """Why no other event will run it: its instances are reclaimed when their events have ended."""
    lost_files: tuple[str, ...] = ()
    """What was in the ``/tmp`` of that instance of it which was reclaimed last."""

    def retire(self, because: str) -> None:
        """No other event will run it."""
        self.retired = because

    def lost(self, files: tuple[str, ...]) -> None:
        """An instance of it was reclaimed with *files* in its ``/tmp``."""
        self.lost_files = files

    def reconfigure(self, configuration: FunctionConfiguration) -> None:
        """What belongs to the function, and not to its versions, has changed."""
        self.configuration = configuration

    def code_to_run(self) -> Code:
        """Where an instance that starts now finds the code."""
        return self.code if self.copy is None else self.copy.code_to_run()

    def code_directories(self) -> list[str]:
        """Where instances have found the code: a traceback names its files below one of them."""
        return [self.code.directory, self.code_to_run().directory]

    def layer_below_which(self, module: str) -> tuple[str, str] | None:
        """The layer that has *module* in a directory, where Python does not look for it, and that directory."""
        return layer_below_which(self.configuration.layers, module)
