"""What pytest says of a fixture that lives longer than one of ours which it asks for, and what to do about it."""

from __future__ import annotations

import re
from typing import Final

import pytest

from ..wings_at_start import INSTEAD

_MISMATCH: Final = re.compile(r"ScopeMismatch: You tried to access the function scoped fixture (\w+) with a (\w+) ")
_LONGER: Final = "a runtime of scf_runtime_factory, which lives as long as you want"
_INSTEAD: Final = {
    "scf_runtime": f"let it be {_LONGER}: `with scf_runtime_factory() as runtime: yield runtime`",
    "scf_clock": f"use the clock of {_LONGER}: runtime.clock",
    "scf_function": f"deploy it in {_LONGER}: runtime.deploy(...)",
    "async_event": f"invoke it in {_LONGER}: runtime.deploy(...).invoke_async(...)",
    "scf_settings": "give them to scf_runtime_factory(ScfSettings(...)), or override scf_settings with that scope",
    **{name: text.format(_LONGER) for name, text in INSTEAD.items()},
}
"""For each of our fixtures that lives as long as a test, what one that lives longer can use."""


def mismatch(error: BaseException, nodeid: str) -> str | None:
    """One sentence on the *error* of a test's setup; None where it is another one, or about no fixture of ours."""
    found = _MISMATCH.match(str(error)) if isinstance(error, pytest.fail.Exception) else None
    if found is None or found[1] not in _INSTEAD:
        return None
    name, scope = found.groups()
    why = f"a fixture of the scope {scope!r} asks for {name}, which lives as long as one test"
    return f"{nodeid}: {why}; {_INSTEAD[name]}"
