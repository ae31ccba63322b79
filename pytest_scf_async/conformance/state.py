"""The state file: what was created, which answers there are, and what is asked later. It has no credentials."""

from __future__ import annotations

import json
import os
import re
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import ScfUsageError
from .account import Address

VERSION: Final = 1
PREFIX: Final = re.compile("scf-conf-[0-9a-f]{8}")
"""What begins the names of all that is created; nothing else is ever deleted."""


@dataclass
class State:
    """Written before anything is created, so that an abort leaves nothing that it does not name."""

    path: Path
    prefix: str
    endpoint: str
    region: str
    begun: str
    namespaces: list[str] = field(default_factory=list)
    functions: list[list[str]] = field(default_factory=list)
    """Names, each with its namespace."""
    events: list[list[str]] = field(default_factory=list)
    """Those that may run: the function's name and the request id."""
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was found, by the id of the case."""
    errors: dict[str, str] = field(default_factory=dict)
    """Why a case could not be decided."""
    pending: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What a case needs that is asked later."""

    @property
    def clean(self) -> bool:
        """Whether nothing of it is there any more."""
        return not (self.functions or self.namespaces)

    def forget(self, request_id: str) -> None:
        """The event *request_id* runs no more."""
        self.events = [event for event in self.events if event[1] != request_id]
        self.write()

    def write(self) -> None:
        """Replace the file, never half of it."""
        content = {"version": VERSION, **asdict(self)}
        del content["path"]
        other = self.path.with_name(f"{self.path.name}.new")
        try:
            other.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            os.replace(other, self.path)
        except OSError as error:
            raise ScfUsageError(f"{self.path} cannot be written: {error.strerror or error}") from None

    def check_address(self, address: Address) -> None:
        """Raise ``ScfUsageError`` where it belongs to another endpoint or region."""
        if (self.endpoint, self.region) != (address.host, address.region):
            raise ScfUsageError(
                f"{self.path} belongs to {self.endpoint} (region {self.region}), and the environment names {address}"
            )


def new_state(path: Path, address: Address, begun: str) -> State:
    """A state of nothing yet; raises ``ScfUsageError`` where the file names what is still there."""
    if path.exists() and not read_state(path).clean:
        raise ScfUsageError(
            f"{path} names what an earlier run has created: check it, clean up (conformance cleanup --state {path}), "
            "or give another file"
        )
    state = State(path, f"scf-conf-{uuid.uuid4().hex[:8]}", address.host, address.region, begun)
    state.write()
    return state


def read_state(path: Path) -> State:
    """The state of a file; raises ``ScfUsageError`` where it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("version") != VERSION:
            raise ValueError("another version")
        state = State(path, **content)
        names = [name for name, _ in state.functions] + state.namespaces
        if not PREFIX.fullmatch(state.prefix) or not all(name.startswith(f"{state.prefix}-") for name in names):
            raise ValueError(f"a name in it does not begin with {state.prefix}-")
        return state
    except OSError as error:
        raise ScfUsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ScfUsageError(f"{path} is not a state file of this command: {error}") from None
