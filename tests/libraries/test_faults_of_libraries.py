"""What libraries in C do on a full disk, and what a sweep with faults says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from on_full_disks import compared, of_handler

from pytest_scf_async import ScfRuntime, ScfSettings

pytestmark = [pytest.mark.once, pytest.mark.tmpfs]  # what the sweep asks of Python is asked in tests/sweep

NUMPY = """
    import os, pathlib
    import numpy

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        array = numpy.arange(5_000)
        try:
            SAVED
        except OSError:
            HANDLED
        return 2
"""
SAVES = {
    "save": "numpy.save(out / 'array.npy', array)",
    "savez": "numpy.savez(out / 'arrays.npz', array)",
    "tofile": "array.tofile(out / 'array')",
}


@pytest.fixture
def scf_settings() -> ScfSettings:
    return ScfSettings(preload=["numpy"])


@pytest.mark.parametrize("handled", ["raise", "pass"])
@pytest.mark.parametrize("save", SAVES)
def test_numpy_does_what_it_does_on_a_full_disk(
    scf_runtime: ScfRuntime, tmp_path: Path, save: str, handled: str
) -> None:
    source = NUMPY.replace("SAVED", SAVES[save]).replace("HANDLED", handled)
    assert compared(of_handler(source, tmp_path), scf_runtime) >= 5
