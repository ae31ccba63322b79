"""What tests of versions and of aliases have in common: the code of a function, two versions, and a refusal's code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_scf_async.errors import ScfApiError
from pytest_scf_async.model.versions import Versions


def code_file(directory: Path, text: str) -> Path:
    """A handler's file in a new directory of its own."""
    path = directory / "code" / "index.py"
    path.parent.mkdir()
    path.write_text(text)
    return path


def two_versions() -> Versions[str]:
    """Two published versions, "one" and "two", of a function whose ``$LATEST`` is "new"."""
    made = Versions("export", "new")
    made.publish(lambda _: "one")
    made.publish(lambda _: "two")
    return made


def refusal(call: Callable[[], object]) -> str:
    """The code of the error with which the platform refuses it."""
    with pytest.raises(ScfApiError) as caught:
        call()
    return caught.value.code
