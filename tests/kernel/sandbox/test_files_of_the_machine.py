"""A file in the machine's /tmp, which an instance with a /tmp of its own does not find: what to do about it is said."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_scf_async import AsyncEvent, Function, HandlerError, ScfRuntime, assert_finished

# once: mounts and texts are the same on all Pythons
pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.once,
    pytest.mark.filterwarnings(
        "ignore::pytest_scf_async.ScfAsyncWarning"
    ),  # without mounts it reads the machine's /tmp
]

Write = Callable[[str], Path]


@pytest.fixture
def write() -> Iterator[Write]:
    """Write a file into the machine's /tmp, where everybody may run it."""
    written: list[Path] = []

    def write(text: str) -> Path:
        descriptor, path = tempfile.mkstemp(dir="/tmp")
        os.write(descriptor, text.encode())
        os.fchmod(descriptor, 0o755)
        os.close(descriptor)
        written.append(Path(path))
        return written[-1]

    yield write
    for path in written:
        path.unlink()


def failure_of(event: AsyncEvent) -> str:
    """What the failed event says; empty: it returned."""
    event.wait()
    try:
        _ = event.result
    except HandlerError as error:
        return str(error)
    return ""


PROGRAMS: dict[str, tuple[str, list[str]]] = {
    "Python": ("print('ran')", ["python", "{}"]),
    "started itself": ("#!/bin/sh\necho ran\n", ["{}"]),
    "bash": ("echo ran\n", ["bash", "-c", "bash {} || exit 3"]),
    "read by it": ("ran\n", ["cat", "{}"]),
    "Node.js": ("console.log('ran')", ["node", "{}"]),
}


@pytest.mark.parametrize(
    "of", [pytest.param(of, marks=pytest.mark.nodejs if of == "Node.js" else ()) for of in PROGRAMS]
)
def test_a_program_that_lies_there_is_to_be_moved(
    runtime: ScfRuntime, mounted: bool, write: Write, tmp_path: Path, of: str
) -> None:
    text, command = PROGRAMS[of]
    hidden, moved = write(text), tmp_path / "moved"
    moved.write_text(text)
    moved.chmod(0o755)
    events = [
        runtime.deploy_image([word.format(file) for word in command], port=-1, name=name).invoke_async()
        for name, file in (("hidden", hidden), ("moved", moved))
    ]

    assert (f"what to do: move {hidden} out of this machine's /tmp, or " in failure_of(events[0])) is mounted
    assert failure_of(events[1]) == ""


HANDLERS = {
    "at its import": "TEXT = open({!r}).read()\ndef main_handler(event, context):\n    return TEXT",
    "in the function": "def main_handler(event, context):\n    return open({!r}).read()",
    "as the cause of what it raised": """
        def main_handler(event, context):
            try:
                return open({!r}).read()
            except OSError as error:
                raise RuntimeError("there is no template") from error
    """,
}


@pytest.mark.parametrize("where", HANDLERS)
def test_a_file_that_a_handler_reads_there_is_to_be_moved(
    deploy: Callable[..., Function], mounted: bool, write: Write, tmp_path: Path, where: str
) -> None:
    hidden, moved = write("ran"), tmp_path / "moved"
    moved.write_text("ran")
    events = [deploy(HANDLERS[where].format(str(file))).invoke_async() for file in (hidden, moved)]

    assert (f"what to do: move {hidden} out of this machine's /tmp, or " in failure_of(events[0])) is mounted
    assert failure_of(events[1]) == ""


READS = "def main_handler(event, context):\n    return open(event).read()"


def test_nothing_is_said_of_a_file_that_this_machine_does_not_have(deploy: Callable[..., Function]) -> None:
    assert "what to do" not in failure_of(deploy(READS).invoke_async("/tmp/no file of this machine"))


def test_nor_of_one_that_comes_later_where_the_instance_sees_the_machine(
    deploy: Callable[..., Function], tmp_path: Path
) -> None:
    """pytest's own directories mostly lie below /tmp, too, and instances find those at their own paths."""
    event = deploy(READS).invoke_async(str(tmp_path / "late")).wait()
    (tmp_path / "late").touch()

    assert "what to do" not in failure_of(event)


def test_nor_where_the_program_did_well_without(runtime: ScfRuntime, write: Write) -> None:
    event = runtime.deploy_image(["bash", "-c", f"cat {write('')} || true"], port=-1).invoke_async().wait()

    with pytest.raises(AssertionError) as failure:
        assert_finished(event, result="another")
    assert "out of this machine's /tmp" not in str(failure.value)
