"""What tests of the sweep share."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_scf_async import Function

EXPORT = Path(__file__).parent / "handlers" / "export.py"
WINDOW = [number for number, line in enumerate(EXPORT.read_text().splitlines(), 1) if "# here" in line]

Deploy = Callable[[str], Function]


def each_run(run: Any) -> Iterator[dict[str, str]]:
    yield {"OUT": str(run.path)}


def each_run_with_a_server(run: Any) -> Iterator[dict[str, str]]:
    """``PORT`` is that of a server of the test's process, which accepts whatever comes, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {"OUT": str(run.path), "PORT": str(server.getsockname()[1])}


def labels(sweep: Any) -> list[str]:
    return [point.shown for point in sweep.points]


def bare_repro(repro: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run a repro with a Python that has no packages, and with no variables but these and the path of its programs."""
    pythons = os.path.dirname(os.path.realpath(sys.executable))
    given = [f"{name}={value}" for name, value in variables.items()]
    path = f"PATH={pythons}:/usr/local/bin:/usr/bin:/bin"
    command = ["env", "-i", path, *given, "sh", f"{repro}/repro.sh", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd="/")
    return done.returncode, done.stdout
