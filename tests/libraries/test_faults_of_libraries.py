"""What libraries in C do on a full disk, and what a sweep with faults says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from on_full_disks import compared, of_handler

from pytest_scf_async import ScfRuntime

pytestmark = pytest.mark.once  # what the sweep asks of Python is asked in tests/sweep

NUMPY = """
    import os, pathlib
    import numpy

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        for number in range(2):
            array = numpy.arange(20_000) + number
            try:
                SAVED
            except OSError:
                HANDLED
        return 2
"""
SAVES = {
    "save": "numpy.save(out / f'{number}.npy', array)",
    "tofile": "array.tofile(out / f'{number}.bin')",
    "savez": "numpy.savez(out / f'{number}.npz', array)",
}


@pytest.mark.parametrize("handled", ["raise", "pass"])
@pytest.mark.parametrize("save", SAVES)
def test_numpy_does_what_it_does_on_a_full_disk(
    scf_runtime: ScfRuntime, tmp_path: Path, save: str, handled: str
) -> None:
    source = NUMPY.replace("SAVED", SAVES[save]).replace("HANDLED", handled)
    assert (
        compared(of_handler(source, tmp_path), scf_runtime) == {"save": (1, 1), "tofile": (1, 1), "savez": (1, 1)}[save]
    )
