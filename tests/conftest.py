"""What tests of all folders share: runtimes that leave nothing behind, and handlers written next to their test."""

from __future__ import annotations

import os
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from internals import Zygote, pool_of, procfs, recorders_of, zygote_of
from process_support import START, Latch, eventually, preforked_pid

from pytest_scf_async.errors import ScfAsyncWarning
from pytest_scf_async.function import Function
from pytest_scf_async.plugin.plugin import _configured as configured
from pytest_scf_async.runtime import ScfRuntime

HANDLERS = Path(__file__).parent / "handlers"

MakeRuntime = Callable[..., ScfRuntime]
Deploy = Callable[..., Function]
DeployImage = Callable[..., Function]


@pytest.fixture
def make_runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRuntime]:
    """Make runtimes, with settings as keywords; when they are closed, no process and no directory is left.

    Other settings come from the command line: the whole suite can run with ``-oscf_async_leases=false``
    or ``--scf-async-sandbox=none`` or ``-oscf_async_clock=freezegun``.
    """
    zygote = zygote_of(configured(request.config))
    with ExitStack() as stack:

        def make(*, start: datetime = START, **settings: Any) -> ScfRuntime:
            given = configured(request.config).replace("ScfSettings(...)", **settings)
            return stack.enter_context(
                ScfRuntime(
                    given,
                    start=start,
                    seed=request.node.nodeid,
                    lookup=[HANDLERS, request.path.parent],
                    base_temp=tmp_path_factory.getbasetemp(),
                    root=request.config.rootpath,
                )
            )

        yield make
    if zygote.alive:  # a test may have killed it
        # It has a pid once the zygote has answered. One process is forked ahead, and stays for the next test, and so do
        # recorders.
        assert eventually(
            lambda: len({*procfs.descendants_of(zygote.pid)} - {preforked_pid(zygote)}) <= recorders_of(zygote)
        )
        assert [name for name in os.listdir(zygote.scratch()) if name.startswith("instance-")] == []


@pytest.fixture
def runtime(make_runtime: MakeRuntime) -> ScfRuntime:
    """A runtime with default settings, whose clock starts at ``START``."""
    return make_runtime()


@pytest.fixture
def mounted(runtime: ScfRuntime) -> bool:
    """Whether instances have mount namespaces; else they have a ``TMPDIR``."""
    return pool_of(runtime).sandboxes.zygote().namespaces


@pytest.fixture
def latch(tmp_path: Path) -> Iterator[Latch]:
    """What children of a handler wait for, until the test lets them end."""
    latch = Latch(tmp_path)
    yield latch
    latch.close()


@pytest.fixture
def deploy(request: pytest.FixtureRequest, tmp_path: Path) -> Deploy:
    """Deploy the text of a handler file, by default in the fixture ``runtime``; keywords are those of ``deploy``."""
    written = 0

    def write_and_deploy(source: str, *, to: ScfRuntime | None = None, **options: Any) -> Function:
        nonlocal written
        written += 1
        directory = tmp_path / f"code{written}"
        directory.mkdir()
        (directory / "index.py").write_text(textwrap.dedent(source), encoding="utf-8")
        target = request.getfixturevalue("runtime") if to is None else to
        return target.deploy(f"{directory}/index.py:main_handler", **options)

    return write_and_deploy


@pytest.fixture
def deploy_image(request: pytest.FixtureRequest, tmp_path: Path) -> DeployImage:
    """Deploy the text of an image's program as ``app.py``; keywords are those of ``ScfRuntime.deploy_image``."""
    written = 0

    def write_and_deploy(
        source: str, *, to: ScfRuntime | None = None, command: Sequence[str] = ("python", "app.py"), **options: Any
    ) -> Function:
        nonlocal written
        written += 1
        directory = tmp_path / f"image{written}"
        directory.mkdir()
        (directory / "app.py").write_text(textwrap.dedent(source), encoding="utf-8")
        target = request.getfixturevalue("runtime") if to is None else to
        return target.deploy_image(list(command), cwd=directory, **options)

    return write_and_deploy


@pytest.fixture
def deploy_in_process(deploy_image: DeployImage) -> DeployImage:
    """The same for a program that the instance runs itself."""
    return partial(deploy_image, in_process=True)


@pytest.fixture
def deploy_traced(deploy_image: DeployImage) -> DeployImage:
    """Deploy the text of a Python program that has a process of its own, which the instance traces.

    It listens on a port of its own: without namespaces it shares the machine's with every other test. ``9000`` in its
    text becomes that.
    """

    def deploy(source: str, **options: Any) -> Function:
        port = free_port()
        given = {"command": ("python", "-I", "app.py"), "port": port, **options}
        return deploy_image(source.replace("9000", str(port)), **given)

    return deploy


@pytest.fixture
def deploy_free(deploy_traced: DeployImage, monkeypatch: pytest.MonkeyPatch) -> DeployImage:
    """The same, where programs cannot be traced: it is free-running."""

    def deploy(source: str, **options: Any) -> Function:
        with warnings.catch_warnings(), monkeypatch.context() as patch:
            patch.setattr(Zygote, "why_untraced", lambda _: "a test says so")
            warnings.simplefilter("ignore", ScfAsyncWarning)  # that it is free-running: reported once in a process
            return deploy_traced(source, **options)

    return deploy
