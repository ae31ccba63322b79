"""What pytest has to know of wings when it starts: their options and fixtures. It imports nothing of a wing by then.

It is not in `wings/`: a folder more to look through takes a tenth of what the import of the plugin takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tencentcloud.scf.v20180416.scf_client import ScfClient

    from .endpoint.scf_endpoint import ScfEndpoint
    from .runtime import ScfRuntime

OPTIONS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "trace": (
        (
            "trace",
            "WHEN",
            (
                "for which tests a trace is written, one HTML file that shows what their events did: off, "
                "retain-on-failure (those that fail; the default) or on (all)"
            ),
        ),
    ),
    "sweep": (
        ("replay", "KEY", "make only the run with this key in each sweep, and print its whole report"),
        ("shard", "PART/PARTS", "make only one part of each sweep's runs, as in 2/5: the second of five"),
    ),
}
"""By wing: the name, the metavariable and the text of each option of the command line."""
IN_INI_FILE: Final[dict[str, tuple[str, ...]]] = {"trace": ("trace",)}
"""By wing: the options that can be given there, too."""
INSTEAD: Final[dict[str, str]] = {
    "scf_endpoint": "serve {}: `with ScfEndpoint(runtime) as endpoint: yield endpoint`",
    "scf_client": "serve {}, and give a client of your own the endpoint's address",
}
"""For each fixture of a wing, what one that lives longer can use: a sentence with a place for the longer runtime."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("scf-async")
    for wing, options in OPTIONS.items():
        for name, metavar, text in options:
            group.addoption(f"--scf-async-{name}", metavar=metavar, default=None, help=text)
            if name in IN_INI_FILE.get(wing, ()):
                parser.addini(f"scf_async_{name}", text, default="")


def are_given(config: pytest.Config) -> bool:
    """Whether an option of a wing is."""
    names = [name for options in OPTIONS.values() for name, _, _ in options]
    in_ini = [name for options in IN_INI_FILE.values() for name in options]
    return any(getattr(config.option, f"scf_async_{name}") is not None for name in names) or any(
        config.getini(f"scf_async_{name}") for name in in_ini
    )


@pytest.fixture
def scf_endpoint(request: pytest.FixtureRequest, scf_runtime: ScfRuntime) -> Iterator[ScfEndpoint]:
    """The Cloud API 3.0 of ``scf_runtime`` on a free port of the loopback (extra ``endpoint``): for SDKs and tools."""
    from .endpoint.of_test import endpoint_of

    yield from endpoint_of(scf_runtime, request.node)


@pytest.fixture
def scf_client(request: pytest.FixtureRequest, scf_endpoint: ScfEndpoint) -> ScfClient:
    """The official SDK's ``ScfClient`` on ``scf_endpoint`` (extra ``sdk``)."""
    from .endpoint.of_test import client_of

    return client_of(scf_endpoint, request.node.nodeid)
