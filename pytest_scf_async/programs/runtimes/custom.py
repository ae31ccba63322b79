"""Custom runtimes (document 47274): a ``bootstrap`` of the user's asks for its events at the platform's runtime API."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from functools import cache
from typing import Final

from ...errors import ScfUsageError, hidden_from_users
from ...instances.runtimes.choice import Deployed, Package
from ...instances.runtimes.strategy import ClaimedPort, Site
from .binary import beginning, why_foreign
from .launcher import Launch
from .program import FreeRunning, Program, Supervised, function_of

__tracebackhide__ = hidden_from_users

BOOTSTRAP: Final = "bootstrap"
_ALL_CATEGORIES: Final = 0x1FBF


class SpeaksRuntimeApi(Program):
    """A program that the instance's process serves, which listens for it."""

    speaks = "runtime-api"
    serves_requests = False
    own_port = None
    init_ends = "the program must report the end of its init with POST /runtime/init/ready"

    def claim_port(self, site: Site) -> ClaimedPort | None:  # noqa: ARG002  (the program listens nowhere)
        return None

    def environment(self, site: Site, of_sandbox: Mapping[str, str]) -> dict[str, str]:
        found = {**super().environment(site, of_sandbox), "_HANDLER": site.configuration.handler}
        if not _has_locale(found["LC_ALL"]):  # shells and Perl write a warning into the log
            found |= {name: "C.UTF-8" for name in ("LANG", "LC_ALL") if name not in site.configuration.environment}
        return found


class CustomRuntime(SpeaksRuntimeApi, Supervised):
    """A custom runtime on simulated time."""


class FreeRunningCustomRuntime(SpeaksRuntimeApi, FreeRunning):
    """A custom runtime where programs cannot be traced."""


@cache
def _has_locale(name: str) -> bool:
    """Whether programs of this machine know the locale *name*."""
    libc = ctypes.CDLL(None)
    libc.newlocale.restype = ctypes.c_void_p
    libc.newlocale.argtypes = ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
    libc.freelocale.argtypes = (ctypes.c_void_p,)
    found = libc.newlocale(_ALL_CATEGORIES, os.fsencode(name), None)
    if found:
        libc.freelocale(found)
    return bool(found)


def custom_runtime(package: Package) -> Deployed:
    """The function of *package*, whose code has a ``bootstrap``.

    Raises ``ScfUsageError`` that says what is wrong with it, and what to do.
    """
    code_path, _ = package.directory()
    directory = os.path.realpath(code_path)
    path = os.path.join(directory, BOOTSTRAP)
    what = f"code is {code_path if package.code is None else package.code!r}, the code of a custom runtime"
    if not os.path.exists(path):
        raise ScfUsageError(
            f"{what}, and there is no {path}: the platform starts the executable file {BOOTSTRAP!r} that lies at the "
            "top of the code"
        )
    if not os.path.isfile(path):
        raise ScfUsageError(f"{what}, and {path} is not a file: it is the program that the platform starts")
    if not os.access(path, os.X_OK):
        raise ScfUsageError(f"{what}, and {path} is not executable, which the platform requires, too: chmod 755 {path}")
    if not beginning(path).startswith(b"#!"):
        why, _ = why_foreign(path)
        if why:
            raise ScfUsageError(
                f"{what}, and {path} {why}; it must be a program for this machine, or a script whose first line names "
                "its interpreter, as in #!/bin/bash"
            )
    return function_of(package, Launch([path], directory), (CustomRuntime, FreeRunningCustomRuntime))
