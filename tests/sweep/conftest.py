"""Fixtures of tests of the sweep."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from sweep_internals import sweep_of_function
from sweeping import Deploy

from pytest_scf_async import Function, ScfRuntime


@pytest.fixture
def deployed(scf_runtime: ScfRuntime, tmp_path: Path) -> Deploy:
    """Deploys the source of a handler."""

    def deploy(source: str) -> Function:
        path = tmp_path / "code" / "job.py"
        path.parent.mkdir()
        path.write_text(textwrap.dedent(source))
        return scf_runtime.deploy(f"{path}:main_handler")

    return deploy


@pytest.fixture
def without_second_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps have no second terminations, which would be most of their runs."""
    monkeypatch.setattr(sweep_of_function, "_FIRST_STOPS", 0)
