"""What tests of the sweep share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_scf_async import Function

EXPORT = Path(__file__).parent / "handlers" / "export.py"
WINDOW = [number for number, line in enumerate(EXPORT.read_text().splitlines(), 1) if "# here" in line]

Deploy = Callable[[str], Function]


def each_run(run: Any) -> Iterator[dict[str, str]]:
    yield {"OUT": str(run.path)}


def labels(sweep: Any) -> list[str]:
    return [point.shown for point in sweep.points]
