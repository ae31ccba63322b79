"""The registry of an instance's patches refuses a second one of a target, and not one of a module that came anew."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from internals import registry

# once: the registry is the same on every Python; test_identity_of_patches.py compares what it makes
pytestmark = pytest.mark.once


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(registry, "PATCHES", {})
    return new_library()


def new_library() -> Any:
    module: Any = ModuleType("library")
    module.call = lambda: "original"
    return module


def test_a_target_is_patched_once(library: Any) -> None:
    registry.replace(library, "call", lambda: "first", "one reason")

    with pytest.raises(RuntimeError, match=r"^library\.call is patched twice: \(one reason\) and \(another\)$"):
        registry.replace(library, "call", lambda: "second", "another")
    with pytest.raises(RuntimeError, match=r"^library\.call is patched twice: \(one reason\) and \(another\)$"):
        registry.rebind(library, "call", None, "another")

    assert library.call() == "first"
    assert [(patch.target, patch.why) for patch in registry.PATCHES.values()] == [("library.call", "one reason")]


def test_a_module_that_is_imported_anew_is_patched_anew(library: Any) -> None:
    registry.replace(library, "call", lambda: "first", "one reason")
    anew = new_library()

    registry.replace(anew, "call", lambda: "again", "one reason")

    assert (library.call(), anew.call()) == ("first", "again")
    assert registry.PATCHES["library.call"].replacement is anew.call


def test_references_to_an_original_become_references_to_its_replacement(library: Any) -> None:
    library.other_name, library.data = library.call, "data"

    made = registry.replace(library, "call", lambda: "first", "one reason")

    assert library.other_name is made
    assert library.data == "data"
