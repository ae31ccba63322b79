"""The program of a job image (document 94320): its event is in its environment, and its end is the event's."""

from __future__ import annotations

from collections.abc import Mapping

from ...protocol import messages
from .program_client import ProgramClient

EVENT = "SCF_CUSTOM_CONTAINER_EVENT"


def variables(invocation: messages.Invoke) -> dict[str, str | None]:
    """The environment of a program that is started for an event."""
    return {**invocation.environment, EVENT: invocation.payload}


class Job(ProgramClient):
    """One run of the program; nothing is sent to it."""

    starts_ready = True

    def variables(self, invocation: messages.Invoke | None) -> Mapping[str, str]:
        return {} if invocation is None else {EVENT: invocation.payload}

    def descriptors(self) -> dict[int, int]:
        return {}

    def is_ready(self) -> bool:
        return True

    def ask(self, invocation: messages.Invoke) -> bool:
        return True

    def receive(self) -> None:
        return None

    def last_answer(self, status: int) -> messages.Result | None:
        """It has no result; an end that is none of its own, or with another exit code than 0, is no success."""
        return messages.Result("RETURNED", "null") if status == 0 else None
