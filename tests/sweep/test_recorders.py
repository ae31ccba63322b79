"""Recorders: each records what one run after the other changes, and keeps nothing of them."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from internals import Zygote, pool_of, procfs
from process_support import end_preforked, eventually, is_gone, preforked_pid
from sweep_internals import (
    IN_INSTANCE,
    Drawing,
    Recording,
    all_recorders_are_free,
    record_of,
    recorded_run,
    recorder_that_is_done,
    recording_of,
)

from pytest_scf_async import HarnessError

# once: rules of the platform: the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]


MODULES = """
    import sys

    def main_handler(event, context):
        return sorted(name for name in sys.modules if not name.startswith("pytest_scf_async"))
"""


@pytest.fixture
def zygote(deploy, make_runtime):
    """The zygote of a session in which a runtime has been closed, so that a process is ready."""
    runtime = make_runtime()
    zygote = pool_of(runtime).sandboxes.zygote()
    end_preforked(zygote)
    deploy(MODULES, to=runtime).run()
    runtime.close()
    assert preforked_pid(zygote) > 0
    return zygote


@pytest.fixture
def recorded(deploy, make_runtime, tmp_path: Path) -> Callable[[], list[str]]:
    """Records a run, and gives the calls of its effects."""
    out = tmp_path / "out"
    out.mkdir()

    def run() -> list[str]:
        runtime = make_runtime()
        touch = deploy(
            """
            import os

            def main_handler(event, context):
                open(os.environ["OUT"] + "/a", "x").close()
            """,
            to=runtime,
        )
        (out / "a").unlink(missing_ok=True)
        return [effect.call for effect in recorded_run(runtime, touch, out).effects]

    return run


def recorders(zygote: Zygote) -> set[int]:
    return {*procfs.descendants_of(zygote.pid)} - {preforked_pid(zygote)}


def test_a_recorder_takes_one_run_after_the_other_and_keeps_nothing_of_them(recorded, zygote) -> None:
    assert recorded() == ["open"]
    assert eventually(lambda: len(recorders(zygote)) == 1 and all_recorders_are_free(zygote))
    (recorder,) = recorders(zygote)
    seen = []
    for _ in range(5):
        assert recorded() == ["open"]
        assert eventually(lambda: recorders(zygote) == {recorder} and all_recorders_are_free(zygote))
        mapped = Path(f"/proc/{recorder}/maps").read_text("utf-8").count("memfd:")
        seen.append((len(os.listdir(f"/proc/{recorder}/fd")), mapped))
        assert os.sched_getaffinity(recorder) == os.sched_getaffinity(0)
    assert len(set(seen)) == 1, seen


def test_a_recorder_that_was_killed_is_not_used(recorded, zygote) -> None:
    first = recorded()
    assert eventually(lambda: len(recorders(zygote)) == 1)
    recorder = recorders(zygote).pop()
    os.kill(recorder, signal.SIGKILL)
    assert eventually(lambda: is_gone(recorder))
    assert recorded() == first == ["open"]


KILLS = """
    import os, signal, time
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        (out / "a").write_text("a")
        if os.environ["RUN"] == "AT":
            tracer = Path("/proc/self/status").read_text("utf-8").partition("TracerPid:")[2].split()[0]
            os.kill(int(tracer), signal.SIGKILL)
        time.sleep(1)
        (out / "b").write_text("b")
"""


@pytest.mark.parametrize("how", ["forced", "graceful"])
@pytest.mark.parametrize("at", [1, 2, 4], ids=["first undisturbed", "second undisturbed", "resumed"])
def test_one_that_is_killed_during_a_run_makes_no_verdict(scf_runtime, deployed, how: str, at: int) -> None:
    numbers = itertools.count(1)

    def each_run(run: Any) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path), "RUN": str(next(numbers))}

    wrong = deployed(KILLS.replace("AT", str(at)))
    if at < 3:
        with pytest.raises(HarnessError, match="changes of files of an instance are not known: the recorder ended"):
            scf_runtime.sweep(wrong, each_run=each_run, how=how)
        return
    report = scf_runtime.sweep(wrong, each_run=each_run, how=how).report
    assert " came to something else when it was made again:\n" in report
    assert "\n  nothing lost; " in report


def test_one_whose_record_is_still_to_be_read_takes_no_other_run(zygote, tmp_path: Path) -> None:
    """An event that resumes the recorded one may need a recorder before that record is read."""
    with closing(Recording(tmp_path)) as recording:
        one = recorder_that_is_done(recording, zygote)
        other = recorder_that_is_done(Drawing(), zygote)
        assert other is not one
        assert list(recording.items()), "the directory as it was"
    assert recorder_that_is_done(Drawing(), zygote) in (one, other)


@pytest.mark.parametrize("what", ["child", "thread", "asks", "library"])
def test_one_that_is_recorded_is_bound_to_the_core_of_its_recorder_until_then(
    make_runtime, tmp_path, what: str
) -> None:
    cpus = os.sched_getaffinity(0)
    allowed = Path("/proc/self/status").read_text("utf-8").partition("Cpus_allowed:")[2].split()[0]
    runtime = make_runtime()
    pool_of(runtime).serve_sweep(IN_INSTANCE)
    recording = recording_of(runtime, tmp_path)
    payload = " ".join((what, *map(str, cpus))) if what == "asks" else what
    before, _, after, still = runtime.deploy("one_core.py:main_handler").run(payload)
    runtime.close()
    assert not record_of(recording).problems
    assert bin(int(before.replace(",", ""), 16)).count("1") == 1
    assert (after, still) == (allowed, [allowed])


@pytest.mark.parametrize("preload", [["colorsys"], ["graphlib"]])
def test_an_instance_forked_ahead_of_a_sweep_finds_no_module_of_its_recorder(
    deploy, make_runtime, tmp_path, preload: list[str]
) -> None:
    """Nor one of the random numbers of a sweep, where ``random`` was imported ahead for another function.

    No other test preloads these: so the zygote has made no sweep.
    """
    if preload == ["graphlib"]:
        deploy("import random\ndef main_handler(event, context): pass", to=make_runtime(preload=preload)).run()
    plain = deploy(MODULES, to=make_runtime(preload=preload)).run()  # the next instance is forked while this one runs
    runtime = make_runtime(preload=preload)
    pool_of(runtime).serve_sweep(IN_INSTANCE)
    recording_of(runtime, tmp_path)
    assert deploy(MODULES, to=runtime).run() == plain
