"""Go functions on the host: the program that an instance runs, and what builds it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ...errors import HarnessError, ScfUsageError, did_you_mean, hidden_from_users
from ...instances.layers import check_readable
from ...instances.process_ends import ends_within
from ...instances.runtimes.choice import Deployed, Package
from ...instances.runtimes.strategy import ClaimedPort, Site
from .binary import beginning, why_foreign
from .launcher import Launch
from .ports import claim_any
from .program import FreeRunning, Program, Supervised, function_of

__tracebackhide__ = hidden_from_users

BUILD_LIMIT = 600.0
"""Real seconds that ``go`` may take: the first build on a machine compiles Go's own library."""
DEFAULT_HANDLER = "main"
INSTALL_GO = "install Go 1.18 or newer (Debian and Ubuntu: apt-get install golang-go) and put it on the PATH"

_UNTIDY = (
    "missing go.sum entry",
    "go: updates to go.mod needed",
    "go: updates to go.sum needed",
    "no required module provides package",
    "and is replaced but not required",
)
"""What ``go`` says where ``go.mod`` or ``go.sum`` lacks what the package imports."""


_PORT = 28902
"""Where a Go function listens in a network of its own: the platform's ``_SCF_SERVER_PORT`` (document 30228)."""


class _SpeaksGob(Program):
    """A program that is spoken to as the platform's Go library is."""

    speaks = "gob"
    serves_requests = False
    init_ends = "init ends when the program calls cloudfunction.Start(handler), the last step of func main"
    own_port = _PORT

    @property
    def _shown(self) -> str:
        return "a Go program"

    def _claim(self, site: Site) -> ClaimedPort:  # noqa: ARG002  (it takes any)
        return claim_any()

    def _listens(self, claimed: ClaimedPort | None) -> tuple[int, Mapping[str, str]]:
        port = _PORT if claimed is None else claimed.number
        return port, dict.fromkeys(("_LAMBDA_SERVER_PORT", "_SCF_SERVER_PORT"), str(port))


class GoFunction(_SpeaksGob, Supervised):
    """A Go function on simulated time."""


class FreeRunningGoFunction(_SpeaksGob, FreeRunning):
    """A Go function where programs cannot be traced."""


def go_function(package: Package) -> Deployed:
    """The function of *package*, a Go package or a binary."""
    scratch = package.builder.session_scratch
    program = go_program(package.directory()[0], package.named_handler, scratch, package.code)
    return function_of(package, Launch([program.binary], program.directory), (GoFunction, FreeRunningGoFunction))


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
        raise ScfUsageError(f"{what}, and {directory} is not a directory; the code of a Go function is one")
    check_readable(directory, f"{what}, and {directory}")
    files = _go_files(directory)
    if files:
        return GoProgram(_build_package(directory, files, name, scratch, what), directory)
    binary = os.path.join(directory, name)
    _check_binary(binary, what)
    return GoProgram(binary, directory)


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
    done = _build([go, "build", "-buildvcs=false", *sources], made, directory, environment)
    if done.code != 0:
        shutil.rmtree(target, ignore_errors=True)
        raise ScfUsageError(
            f"{what}, a Go package that does not compile{_hint(done.output, directory)}:\n{done.output}"
        )
    if beginning(made) == b"!<arch>\n":  # what a package is compiled to that is no program
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
        raise ScfUsageError(f"{what}, and {path}, which the handler names, is not a file; {how}")
    if not os.access(path, os.X_OK):
        raise ScfUsageError(f"{what}, and {path} is not executable, which the platform requires, too: chmod 755 {name}")
    why, is_other_machine = why_foreign(path)
    if why:
        how = "build it for this machine, or name the directory of the Go package" if is_other_machine else how
        raise ScfUsageError(f"{what}, and {path} {why}{': ' if is_other_machine else '; '}{how}")


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
        cache = environment["GOCACHE"] = os.path.join(_cache(home), "go-build")  # as Go itself has it
        try:
            os.makedirs(cache, exist_ok=True)
        except OSError:
            pass  # then it cannot be written to either
        if not os.access(cache, os.W_OK):
            environment["GOCACHE"] = os.path.join(scratch, "go-build")
    return environment


def _cache(home: str) -> str:
    given = os.environ.get("XDG_CACHE_HOME", "")
    return given if os.path.isabs(given) else os.path.join(home, ".cache")


_START = """
import os, sys
sys.path.append(sys.argv[1])
from pytest_scf_async.zygote.reaper import supervise
owner, scratch, made, target = int(sys.argv[2]), *sys.argv[3:6]
supervise(owner, scratch, at_end=(lambda: os.replace(made, target)) if target else None)
os.execv(sys.argv[6], sys.argv[6:])
"""


def _build(command: Sequence[str], target: str, directory: str, environment: Mapping[str, str]) -> _Done:
    """Run ``go build`` with *command*, and put the program that it makes at *target*, whole or not at all."""
    return _run([*command[:2], "-o", os.path.basename(target), *command[2:]], directory, environment, target)


def _run(command: Sequence[str], directory: str, environment: Mapping[str, str], target: str = "") -> _Done:
    """Run *command* under a reaper; its exit code, and all that it wrote.

    Bounded by BUILD_LIMIT, whatever clock the test is on. The compilers that it starts, and the directory that they
    write to, are gone afterwards, however this process ends. The program that follows ``-o`` is made there, and moved
    to *target* when *command* has succeeded.
    """
    own = os.path.join(tempfile.gettempdir(), f"pytest-scf-async-go-{secrets.token_hex(8)}")
    made = ""
    if target:
        environment = {**environment, "GOTMPDIR": own}
        made = os.path.join(own, os.path.basename(target))
        command = [made if before == "-o" else each for before, each in zip(["", *command], command, strict=False)]
    package_parent = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
    owner = os.pidfd_open(os.getpid())
    try:
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                [sys.executable, "-ISc", _START, package_parent, str(owner), own, made, target, *command],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(owner,),
                start_new_session=True,
            )
            try:
                if not ends_within(process, BUILD_LIMIT):
                    raise HarnessError(f"{' '.join(command)} has not ended within {BUILD_LIMIT:g} real seconds")
            finally:
                if process.poll() is None:
                    process.terminate()  # the reaper ends the compilers too, and removes what they wrote
                process.wait()
            output.seek(0)
            return _Done(process.returncode, output.read().decode("utf-8", "replace").strip())
    finally:
        os.close(owner)
