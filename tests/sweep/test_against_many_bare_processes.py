"""The search of ``test_against_bare_processes`` over many more handlers."""

from __future__ import annotations

from pathlib import Path

import pytest
from both_sides import are_alike
from random_handlers import random_handler

from pytest_scf_async import ScfRuntime, ScfSettings

pytestmark = [pytest.mark.usefixtures("without_second_stops"), pytest.mark.timeout(600)]


@pytest.fixture
def scf_settings(scf_settings: ScfSettings, seed: int) -> ScfSettings:
    """A wait for a lock of its own process takes so many real seconds, in each run that comes to it."""
    return scf_settings.replace("scf_settings", real_timeout=2) if random_handler(seed).may_hang else scf_settings


@pytest.mark.parametrize("seed", range(8, 108))
def test_a_verdict_is_that_of_bare_processes(scf_runtime: ScfRuntime, tmp_path: Path, seed: int) -> None:
    are_alike(scf_runtime, tmp_path, seed)
