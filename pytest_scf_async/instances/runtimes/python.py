"""Python functions: the instance's own process loads the handler and calls it, on simulated time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import hidden_from_users
from ..environment import of_code_package
from .strategy import CLOSED, Running, Runtime, Site, Started

__tracebackhide__ = hidden_from_users


class PythonHandler(Runtime):
    """A function of a Python code package."""

    @property
    def name(self) -> str:
        return "Python"

    @property
    def bare_command(self) -> Sequence[str]:
        return ()

    def environment(self, site: Site, of_sandbox: Mapping[str, str]) -> dict[str, str]:
        return of_code_package(site.configuration, site.version, site.settings, of_sandbox)

    def why_unreachable(self, instance: Running, event: Started) -> str | None:  # noqa: ARG002
        if program := instance.became():
            return (
                f"its process became {program!r} by exec (os.execv and its like), which answers no event: start a "
                "program as a child process (subprocess)"
            )
        return CLOSED if instance.has_closed_channel() else None
