"""What may be deployed as a custom runtime or a Node.js function, and the sentence about what may not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from program_internals import binary_files

from pytest_scf_async import ScfRuntime, ScfUsageError

ELF_32 = b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\0\x03\0" + bytes(40)
ELF_64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\x3e\0" + bytes(40)


def refused(code: Path, **options: str) -> str:
    with ScfRuntime() as runtime, pytest.raises(ScfUsageError) as caught:
        runtime.deploy(code, **{"runtime": "CustomRuntime", **options})  # type: ignore[arg-type]
    return str(caught.value)


def test_a_bootstrap_that_is_not_there(tmp_path: Path) -> None:
    what = f"code is {tmp_path!r}, the code of a custom runtime"
    assert refused(tmp_path) == (
        f"{what}, and there is no {tmp_path}/bootstrap: the platform starts the executable file 'bootstrap' that lies "
        "at the top of the code"
    )
    (tmp_path / "bootstrap").mkdir()
    assert refused(tmp_path) == (
        f"{what}, and {tmp_path}/bootstrap is not a file: it is the program that the platform starts"
    )


def test_a_bootstrap_without_its_x_bit(tmp_path: Path) -> None:
    path = tmp_path / "bootstrap"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o644)
    assert refused(tmp_path).endswith(f"{path} is not executable, which the platform requires, too: chmod 755 {path}")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"echo hello\n", "is not a program (not an ELF file)"),
        (b"MZ\x90", "is a program for Windows"),
        (ELF_32, "is a program for 32-bit x86 (GOARCH=386), and this machine is 64-bit x86-64 (GOARCH=amd64)"),
    ],
)
def test_a_bootstrap_that_is_no_program_of_this_machine(
    tmp_path: Path, content: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_bytes(ELF_64)
    monkeypatch.setattr(binary_files, "OWN_EXECUTABLE", str(tmp_path / "own"))
    path = tmp_path / "bootstrap"
    path.write_bytes(content)
    path.chmod(0o755)
    assert refused(tmp_path).endswith(
        f"{path} {why}; it must be a program for this machine, or a script whose first line names its interpreter, as "
        "in #!/bin/bash"
    )


def test_a_bootstrap_that_may_be_started(tmp_path: Path) -> None:
    path = tmp_path / "bootstrap"
    for make in (lambda: os.symlink(sys.executable, path), lambda: path.write_text("#!/bin/bash\n")):
        make()
        path.chmod(0o755)
        with ScfRuntime() as runtime:
            runtime.deploy(tmp_path, runtime="CustomRuntime")
        path.unlink()


def test_a_machine_without_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(tmp_path, runtime="Nodejs16.13") == (
        "runtime='Nodejs16.13' (deploy(...)) needs Node.js, and there is no 'node' on the PATH: install Node.js 12 or "
        "newer (Debian and Ubuntu: apt-get install nodejs) and put it on the PATH"
    )


@pytest.mark.parametrize("handler", ["main_handler", ".main", "index.", "index.2nd"])
def test_a_handler_of_node_that_cannot_be(tmp_path: Path, handler: str) -> None:
    assert refused(tmp_path, runtime="Nodejs18.15", handler=handler) == (
        f"handler={handler!r} (deploy(...)) is not valid: it must be the file without .js, a dot and the exported "
        "name, as in 'index.main_handler'"
    )
