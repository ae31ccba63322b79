"""What the tests of supervised programs share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from signal_programs import GO
from traced_programs import end_runs

BuildGo = Callable[[str], str]


@pytest.fixture(scope="session", autouse=True)
def traced_runs_end() -> Iterator[None]:
    """The process that makes the runs of traced programs ends with the tests."""
    yield
    end_runs()


@pytest.fixture(scope="session")
def build_go(tmp_path_factory: pytest.TempPathFactory) -> BuildGo:
    """Build a program in Go from its text; gives the path of its file."""

    def build(source: str) -> str:
        directory = tmp_path_factory.mktemp("go")
        (directory / "main.go").write_text(source)
        environment = os.environ | {"GOTOOLCHAIN": "local", "GOPROXY": "off", "CGO_ENABLED": "0", "GO111MODULE": "off"}
        subprocess.run(["go", "build", "-o", "server", "main.go"], cwd=directory, env=environment, check=True)
        return str(directory / "server")

    return build


@pytest.fixture(scope="session")
def go_server(build_go: BuildGo) -> str:
    """The path of an image's program in Go."""
    return build_go(GO)
