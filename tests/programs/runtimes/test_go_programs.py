"""A Go function's code that cannot be run: one sentence names what is missing, and how to get it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from program_internals import binary_files, go

from pytest_scf_async.errors import ScfUsageError

OWN = Path("/proc/self/exe").read_bytes()[:20]
AMD64, ARM64, X86 = 62, 183, 3


@pytest.fixture
def scratch(tmp_path):
    directory = tmp_path / "scratch"
    directory.mkdir()
    return lambda: str(directory)


@pytest.fixture
def code(tmp_path):
    directory = tmp_path / "code"
    directory.mkdir()
    return directory


def elf(machine: int, *, bits: int = 64, order: str = "<") -> bytes:
    identity = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    return identity + struct.pack(f"{order}HH", 2, machine) + bytes(44)


def written(path: Path, content: bytes, mode: int = 0o755) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def refused(code: object, scratch, handler: str | None = "main", **options) -> str:
    with pytest.raises(ScfUsageError) as caught:
        go.go_program(str(code), handler, scratch, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_built_binary_is_run_where_it_is(code, scratch):
    binary = written(code / "main", OWN)
    assert go.go_program(str(code), None, scratch) == (str(binary), str(code))
    assert go.go_program(os.path.relpath(code), "main", scratch) == (str(binary), str(code))


def test_the_handler_names_the_binary(code, scratch):
    binary = written(code / "export", OWN)
    assert go.go_program(str(code), "export", scratch).binary == str(binary)


@pytest.mark.parametrize("handler", ["", ".", "..", "bin/main", "/main", "a\0b", 3, b"main"])
def test_a_handler_that_is_no_name_of_a_file(code, scratch, handler):
    assert refused(code, scratch, handler) == (
        f"handler={handler!r} is not valid for a Go function: it is the name of the binary in the code directory, "
        "as in 'main'"
    )


def test_code_that_is_no_directory(code, scratch):
    file = written(code / "main", OWN)
    assert refused(file, scratch, given="./main") == (
        f"code is './main', and {file} is not a directory; the code of a Go function is one"
    )


def test_a_directory_without_a_binary(code, scratch):
    assert refused(code, scratch) == (
        f"code is '{code}', and {code} has neither Go files nor a binary 'main', which the handler names; "
        "build it with 'GOOS=linux CGO_ENABLED=0 go build -o main', or name the directory of a Go package"
    )


def test_a_binary_with_another_name_is_named(code, scratch):
    written(code / "exporter", OWN)
    assert "'export', which the handler names; did you mean 'exporter'?; build it" in refused(code, scratch, "export")


def test_a_binary_that_is_a_directory(code, scratch):
    (code / "main").mkdir()
    assert f"{code}/main, which the handler names, is not a file; build it with" in refused(code, scratch)


def test_a_binary_that_is_not_executable(code, scratch):
    binary = written(code / "main", OWN, 0o644)
    assert refused(code, scratch).endswith(
        f"and {binary} is not executable, which the platform requires, too: chmod 755 main"
    )


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\necho\n", b"\x7fELF"])
def test_a_binary_that_is_no_program(code, scratch, content):
    binary = written(code / "main", content)
    assert f"and {binary} is not a program (not an ELF file); build it with" in refused(code, scratch)


@pytest.mark.parametrize(
    ("content", "system"), [(b"MZ\x90\0", "Windows"), (b"\xcf\xfa\xed\xfe\x07\0\0\x01", "macOS")], ids=["exe", "mach-o"]
)
def test_a_binary_for_another_system(code, scratch, content, system):
    binary = written(code / "main", content)
    assert f"{binary} is a program for {system}; build it with 'GOOS=linux " in refused(code, scratch)


@pytest.mark.parametrize(
    ("content", "architecture"),
    [
        (elf(ARM64), "64-bit ARM64 (GOARCH=arm64)"),
        (elf(X86, bits=32), "32-bit x86 (GOARCH=386)"),
        (elf(22, order=">"), "64-bit s390 (GOARCH=s390x), big-endian"),
        (elf(4711), "64-bit machine 4711"),
    ],
    ids=["arm64", "386", "s390x", "unknown"],
)
def test_a_binary_for_another_architecture(code, scratch, content, architecture, monkeypatch):
    binary = written(code / "main", content)
    own = written(code.parent / "own", elf(AMD64))
    monkeypatch.setattr(binary_files, "OWN_EXECUTABLE", str(own))
    assert refused(code, scratch) == (
        f"code is '{code}', and {binary} is a program for {architecture}, and this machine is 64-bit x86-64 "
        "(GOARCH=amd64): build it for this machine, or name the directory of the Go package"
    )


def test_a_package_needs_go(code, scratch, monkeypatch):
    (code / "main.go").write_text("package main\n")
    monkeypatch.setenv("PATH", "")
    assert refused(code, scratch) == (
        f"code is '{code}', a Go package that has to be built, and there is no 'go' on the PATH: install Go 1.18 or "
        "newer (Debian and Ubuntu: apt-get install golang-go) and put it on the PATH"
    )


def test_a_package_comes_before_a_binary_beside_it(code, scratch, monkeypatch):
    written(code / "main", OWN)
    (code / "main.go").write_text("package main\n")
    monkeypatch.setenv("PATH", "")
    assert "there is no 'go' on the PATH" in refused(code, scratch)


@pytest.mark.parametrize("name", ["main_test.go", "_old.go", ".main.go"])
def test_files_that_go_leaves_out_make_no_package(code, scratch, name):
    (code / name).write_text("package main\n")
    assert "has neither Go files nor a binary 'main'" in refused(code, scratch)
