"""Go functions on the host: the program that an instance runs, and the helper that speaks to it; what builds both."""

from __future__ import annotations

import functools
import hashlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ...errors import HarnessError, ScfUsageError, did_you_mean, hidden_from_users
from ..layers import check_readable

__tracebackhide__ = hidden_from_users

HELPER_SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "go_helper")
BUILD_LIMIT = 600.0
"""Real seconds that ``go`` may take: the first build on a machine compiles Go's own library."""
DEFAULT_HANDLER = "main"
INSTALL_GO = "install Go 1.18 or newer (Debian and Ubuntu: apt-get install golang-go) and put it on the PATH"

OWN_EXECUTABLE = "/proc/self/exe"
ELF_BYTES = 20
"""As much of an ELF file's header as says what it is for."""
_ELF_CLASSES = {1: "32-bit", 2: "64-bit"}
_MACHINES = {
    3: "x86 (GOARCH=386)",
    8: "MIPS (GOARCH=mips)",
    21: "PowerPC (GOARCH=ppc64)",
    22: "s390 (GOARCH=s390x)",
    40: "ARM (GOARCH=arm)",
    62: "x86-64 (GOARCH=amd64)",
    183: "ARM64 (GOARCH=arm64)",
    243: "RISC-V (GOARCH=riscv64)",
    258: "LoongArch (GOARCH=loong64)",
}
"""By ``e_machine`` of an ELF file."""
_OTHER_SYSTEMS = {
    b"\xcf\xfa\xed\xfe": "macOS",
    b"\xca\xfe\xba\xbe": "macOS",
    b"MZ": "Windows",
}
"""By how an executable file of theirs begins."""


_UNTIDY = (
    "missing go.sum entry",
    "go: updates to go.mod needed",
    "go: updates to go.sum needed",
    "no required module provides package",
    "and is replaced but not required",
)
"""What ``go`` says where ``go.mod`` or ``go.sum`` lacks what the package imports."""


class GoProgram(NamedTuple):
    """What an instance of a Go function runs; both are absolute paths."""

    binary: str
    directory: str
    """The code directory, as the user gave it. A binary that was built from a package lies elsewhere."""


class _Built(NamedTuple):
    state: tuple[int, int]
    binary: str


_built: dict[tuple[str, str, str], _Built] = {}
"""By the package's directory, the name of the binary and the scratch directory: what the session has built."""


def go_program(code_path: str, handler: object, scratch: Callable[[], str], given: object = None) -> GoProgram:
    """The program of the code directory *code_path*: what its Go files build to, or else its binary named *handler*.

    A package is built below ``scratch()``, once for as long as no file of its module changes, and without the network:
    what it imports has to be in Go's module cache or in its ``vendor`` directory. Nothing is written where the code is.
    The source comes first where both are there: a binary beside it may be an old one. *given* is how the user named
    the code. Raises ``ScfUsageError`` that says what is missing, and how to get it.
    """
    what = f"code is {code_path if given is None else given!r}"
    name = DEFAULT_HANDLER if handler is None else handler
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ScfUsageError(
            f"handler={name!r} is not valid for a Go function: it is the name of the binary in the code directory, "
            f"as in {DEFAULT_HANDLER!r}"
        )
    directory = os.path.realpath(code_path)
    if not os.path.isdir(directory):
        raise ScfUsageError(f"{what}, and {directory} is no directory; a Go function's code is one")
    check_readable(directory, f"{what}, and {directory}")
    files = _go_files(directory)
    if files:
        return GoProgram(_build_package(directory, files, name, scratch, what), directory)
    binary = os.path.join(directory, name)
    _check_binary(binary, what)
    return GoProgram(binary, directory)


def helper_binary(scratch: Callable[[], str]) -> str:
    """The executable of the helper that speaks to Go functions.

    It is built on first use and kept in the user's cache directory, for every session with the same Go and the same
    source; where that directory cannot be written to, below ``scratch()``. Raises ``ScfUsageError`` where there is no
    ``go``, and ``HarnessError`` where the build fails.
    """
    go = _go("runtime 'Go1' needs Go once, to build a helper of its own")
    name = _helper_name(_version(go))
    kept = os.path.join(_cache_directory(), name)
    if os.access(kept, os.X_OK):
        return kept
    built = os.path.join(scratch(), name)
    if not os.access(built, os.X_OK):
        _build_helper(go, built)
    return kept if _keep(built, kept) else built


# -- the helper ------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def _version(go: str) -> str:
    """What ``go version`` says: the system and the architecture too."""
    done = _run([go, "version"], HELPER_SOURCE, os.environ | {"GOTOOLCHAIN": "local"})
    if done.code != 0:
        raise HarnessError(f"{go} version ended with {done.code}: {done.output}")
    return done.output


def _helper_name(version: str) -> str:
    digest = hashlib.sha256(version.encode())
    for name in sorted(name for name in os.listdir(HELPER_SOURCE) if name.endswith((".go", ".mod"))):
        with open(os.path.join(HELPER_SOURCE, name), "rb") as file:
            content = file.read()
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return f"go-helper-{digest.hexdigest()[:32]}"


def _build_helper(go: str, path: str) -> None:
    scratch = os.path.dirname(path)
    environment = _environment(scratch) | {
        "CGO_ENABLED": "0",  # it runs in sandboxes, and needs nothing of theirs
        "GO111MODULE": "on",
        "GOENV": "off",
        "GOFLAGS": "",
        "GOWORK": "off",
    }
    command = [go, "build", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "."]
    done = _run(command, HELPER_SOURCE, environment)
    if done.code != 0:
        raise HarnessError(f"the helper for Go functions could not be built with {go}:\n{done.output}")


def _keep(built: str, kept: str) -> bool:
    """Put *built* where later sessions find it, at once and whole; whether that went well."""
    own = f"{kept}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
        try:
            shutil.copy2(built, own)
            os.replace(own, kept)  # another process may have been as far: either is as good
        except OSError:
            if os.path.lexists(own):
                os.unlink(own)
            raise
    except OSError:
        return False
    return True


def _cache_directory() -> str:
    return os.path.join(_cache_base(os.path.expanduser("~")), "pytest-scf-async")


def _cache_base(home: str) -> str:
    given = os.environ.get("XDG_CACHE_HOME", "")
    return given if os.path.isabs(given) else os.path.join(home, ".cache")


# -- a package -------------------------------------------------------------------------------------------------------


def _go_files(directory: str) -> list[str]:
    return sorted(
        entry.name
        for entry in os.scandir(directory)
        if entry.name.endswith(".go") and not entry.name.endswith("_test.go") and not entry.name.startswith((".", "_"))
    )


def _build_package(directory: str, files: list[str], name: str, scratch: Callable[[], str], what: str) -> str:
    module = _module_of(directory)
    state = _state(module or directory)
    key = (directory, name, scratch())
    before = _built.get(key)
    if before is not None and before.state == state and os.access(before.binary, os.X_OK):
        return before.binary
    go = _go(f"{what}, a Go package that has to be built")
    environment = _environment(scratch())
    # A build that may change go.mod and go.sum would write where the code is.
    flags = environment.get("GOFLAGS", "").split()
    environment["GOFLAGS"] = " ".join(flag for flag in flags if flag.lstrip("-") != "mod=mod")
    target = tempfile.mkdtemp(prefix="go-", dir=scratch())
    made = os.path.join(target, name)
    sources = ["."] if module is not None else files  # without a module, Go takes files alone
    done = _run([go, "build", "-buildvcs=false", "-o", made, *sources], directory, environment)
    if done.code != 0:
        shutil.rmtree(target, ignore_errors=True)
        raise ScfUsageError(
            f"{what}, a Go package that does not compile{_hint(done.output, directory)}:\n{done.output}"
        )
    if _beginning(made) == b"!<arch>\n":  # what a package is compiled to that is no program
        shutil.rmtree(target, ignore_errors=True)
        raise ScfUsageError(
            f"{what}, a Go package that is not 'package main': a function is a program, so name the directory that has "
            "its 'func main'"
        )
    _built[key] = _Built(state, made)
    return made


def _module_of(directory: str) -> str | None:
    """The directory with the ``go.mod`` that *directory* belongs to."""
    while not os.path.isfile(os.path.join(directory, "go.mod")):
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent
    return directory


def _state(directory: str) -> tuple[int, int]:
    """The newest change (ns) and the number of the files below: another state may build to another program."""
    newest = count = 0
    for parent, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if not name.startswith(".") and name != "node_modules"]
        for name in names:
            try:
                newest = max(newest, os.stat(os.path.join(parent, name)).st_mtime_ns)
            except OSError:
                continue  # a link to nothing, or a file that is gone again
            count += 1
    return newest, count


def _hint(output: str, directory: str) -> str:
    if any(text in output for text in _UNTIDY):
        return f" with its go.mod and go.sum as they are; run 'go mod tidy' (with the network) in {directory} once"
    if "GOPROXY=off" in output:
        return f" without the network; run 'go mod download' (or 'go mod vendor') in {directory} once"
    return ""


# -- a binary --------------------------------------------------------------------------------------------------------


def _check_binary(path: str, what: str) -> None:
    directory, name = os.path.split(path)
    how = f"build it with 'GOOS=linux CGO_ENABLED=0 go build -o {name}'"
    if not os.path.exists(path):
        near = did_you_mean(name, sorted(os.listdir(directory)))
        raise ScfUsageError(
            f"{what}, and {directory} has neither Go files nor a binary {name!r}, which the handler names{near}; "
            f"{how}, or name the directory of a Go package"
        )
    if not os.path.isfile(path):
        raise ScfUsageError(f"{what}, and {path}, which the handler names, is no file; {how}")
    if not os.access(path, os.X_OK):
        raise ScfUsageError(f"{what}, and {path} is not executable, which the platform wants too: chmod 755 {name}")
    found, own = _beginning(path), _beginning(OWN_EXECUTABLE)
    for magic, system in _OTHER_SYSTEMS.items():
        if found.startswith(magic):
            raise ScfUsageError(f"{what}, and {path} is a program for {system}; {how}")
    if not found.startswith(b"\x7fELF") or len(found) < ELF_BYTES:
        raise ScfUsageError(f"{what}, and {path} is no program (no ELF file); {how}")
    if _architecture(found) != _architecture(own):
        wanted = _architecture(own)
        raise ScfUsageError(
            f"{what}, and {path} is a program for {_architecture(found)}, and this machine is {wanted}: "
            f"build it for this one, or name the directory of the Go package"
        )


def _beginning(path: str) -> bytes:
    with open(path, "rb") as file:
        start = file.read(ELF_BYTES)
    return start[:8] if start.startswith(b"!<arch>\n") else start


def _architecture(elf: bytes) -> str:
    machine = int.from_bytes(elf[18:20], "big" if elf[5] == 2 else "little")
    order = ", big-endian" if elf[5] == 2 else ""
    return f"{_ELF_CLASSES.get(elf[4], 'unknown')} {_MACHINES.get(machine, f'machine {machine}')}{order}"


# -- go --------------------------------------------------------------------------------------------------------------


class _Done(NamedTuple):
    code: int
    output: str


def _go(why: str) -> str:
    found = shutil.which("go")
    if found is None:
        raise ScfUsageError(f"{why}, and there is no 'go' on the PATH: {INSTALL_GO}")
    return os.path.abspath(found)


def _environment(scratch: str) -> dict[str, str]:
    """For ``go``: programs for this machine, from what is on it; with a cache that can be written to."""
    environment = {name: value for name, value in os.environ.items() if name not in ("GOOS", "GOARCH")}
    environment |= {"GOPROXY": "off", "GOTOOLCHAIN": "local"}
    home = os.path.expanduser("~")
    if not (os.path.isdir(home) and os.access(home, os.W_OK)):
        home = environment["HOME"] = scratch
    elif "HOME" not in environment:  # the user's entry in the machine's list of users has it
        environment["HOME"] = home
    if "GOCACHE" not in environment:
        cache = environment["GOCACHE"] = os.path.join(_cache_base(home), "go-build")  # as Go itself has it
        try:
            os.makedirs(cache, exist_ok=True)
        except OSError:
            pass  # then it cannot be written to either
        if not os.access(cache, os.W_OK):
            environment["GOCACHE"] = os.path.join(scratch, "go-build")
    return environment


def _run(command: Sequence[str], directory: str, environment: Mapping[str, str]) -> _Done:
    """Run *command*; its exit code, and all that it wrote. Bounded by BUILD_LIMIT, whatever clock the test is on."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            pidfd = os.pidfd_open(process.pid)
            try:
                poller = select.poll()
                poller.register(pidfd, select.POLLIN)
                ended = poller.poll(BUILD_LIMIT * 1000)
            finally:
                os.close(pidfd)
            if not ended:
                raise HarnessError(f"{' '.join(command)} has not ended within {BUILD_LIMIT:.0f} real seconds")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the compilers too; not reaped, so that the id is its own
            process.wait()
        output.seek(0)
        return _Done(process.returncode, output.read().decode("utf-8", "replace").strip())
