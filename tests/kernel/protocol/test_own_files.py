"""Whether anybody can see that a process has closed its files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from internals import procfs

# once: it is the kernel that is asked
pytestmark = pytest.mark.once

OPENS = "import sys; kept = [open(path) for path in sys.argv[1:]]; print(flush=True); sys.stdin.read()"


def has_only_own_files(opens: list[Path], inherits: list[int]) -> bool:
    command = [sys.executable, "-c", OPENS, *map(str, opens)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, pass_fds=inherits) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        return procfs.has_only_own_files(process.pid, os.getpid())


def test_a_file_that_another_process_may_have_locked_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert has_only_own_files([], [])
    assert not has_only_own_files([path], [])


def test_a_file_that_its_zygote_has_open_as_well_is_not(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file:
        assert has_only_own_files([], [file.fileno()])
        assert not has_only_own_files([tmp_path / "file"], [file.fileno()])
