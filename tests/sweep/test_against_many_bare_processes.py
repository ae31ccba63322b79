"""The search of ``test_against_bare_processes`` over many more handlers."""

from __future__ import annotations

from pathlib import Path

import pytest
from both_sides import are_alike

from pytest_scf_async import ScfRuntime

pytestmark = [pytest.mark.usefixtures("without_second_stops"), pytest.mark.timeout(600)]


@pytest.mark.parametrize("seed", range(8, 108))
def test_a_verdict_is_that_of_bare_processes(scf_runtime: ScfRuntime, tmp_path: Path, seed: int) -> None:
    are_alike(scf_runtime, tmp_path, seed)
