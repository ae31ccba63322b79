"""Node.js functions: a runtime of ours that the machine's Node.js runs, and that calls the handler."""

from __future__ import annotations

import os
import re
import shutil
from typing import Final

from ...errors import Given, ScfUsageError, hidden_from_users
from ...instances.runtimes.choice import Deployed, Package
from .custom import SpeaksRuntimeApi
from .launcher import Launch
from .program import FreeRunning, Supervised, function_of

__tracebackhide__ = hidden_from_users

RUNTIME: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nodejs.js")
"""It asks for events at the runtime API, as the ``bootstrap`` of a custom runtime does."""
INSTALL: Final = "install Node.js 12 or newer (Debian and Ubuntu: apt-get install nodejs) and put it on the PATH"
_HANDLER: Final = re.compile(r"[^\s.][^\0]*\.[A-Za-z_$][\w$]*")


class _OfNode(SpeaksRuntimeApi):
    init_ends = "init ends once the handler's module has been loaded"

    @property
    def directories(self) -> tuple[str, ...]:
        return (*super().directories, os.path.dirname(RUNTIME))

    @property
    def _shown(self) -> str:
        return "a Node.js function"


class NodeFunction(_OfNode, Supervised):
    """A Node.js function on simulated time."""


class FreeRunningNodeFunction(_OfNode, FreeRunning):
    """A Node.js function where programs cannot be traced."""


def node_function(package: Package) -> Deployed:
    """The function of *package*, whose handler is JavaScript. Raises ``ScfUsageError``."""
    handler, source = package.named_handler, package.source
    if not _HANDLER.fullmatch(handler):
        rule = "it must be the file without .js, a dot and the exported name, as in 'index.main_handler'"
        Given("handler", handler, source).refuse(rule)
    node = shutil.which("node")
    if node is None:
        raise ScfUsageError(
            f"runtime={package.runtime!r} ({source}) needs Node.js, and there is no 'node' on the PATH: {INSTALL}"
        )
    launch = Launch([os.path.abspath(node), RUNTIME], package.directory()[0])
    return function_of(package, launch, (NodeFunction, FreeRunningNodeFunction))
