"""The sweep in a session of pytest: its options ``--scf-async-replay`` and ``--scf-async-shard``, and its reports.

Each session in which a runtime is made imports it, so what a sweep needs is imported when a test makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from ..wing_hooks import Traced, WingHooks

if TYPE_CHECKING:
    from .guide import Guide
    from .of_test import SweepsOfTest

_SWEEPS: Final[pytest.StashKey[SweepsOfTest | None]] = pytest.StashKey()
"""The sweeps of the test that runs."""
_REPLAY: Final = pytest.StashKey[tuple[bool, list[str]]]()
"""Whether a sweep of the session had the run of ``--scf-async-replay``, and what sweeps said that had it not."""
_REPLAY_OF_WORKER: Final = "scf_async_replay"
"""The name under which a worker of xdist reports what became of ``--scf-async-replay``."""


def sweeps_of(config: pytest.Config) -> SweepsOfTest | None:
    """The sweeps of the test that runs; None where it has made none."""
    return config.stash.get(_SWEEPS, None)


class SweepHooks(WingHooks):
    """The sweeps of a session."""

    def configure(self, config: pytest.Config) -> None:
        if config.option.scf_async_shard is not None:
            from .of_test import shard_of  # noqa: PLC0415

            shard_of(config.option.scf_async_shard)

    def of_runtimes(
        self,
        config: pytest.Config,
        test: Callable[[], pytest.Item],
        seconds_left: Callable[[pytest.Item], float | None],
    ) -> Mapping[str, Any]:
        """What each sweep asks for what it is told, in whichever test it is made."""
        stash = config.stash

        def guide() -> Guide:
            from .of_test import SweepsOfTest  # noqa: PLC0415

            item = test()
            sweeps = stash.get(_SWEEPS, None)
            if sweeps is None:
                sweeps = stash[_SWEEPS] = SweepsOfTest(item, lambda: seconds_left(item))
            return sweeps.guide()

        return {"sweep_guide": guide}

    def phase_ended(self, item: pytest.Item, error: BaseException | None) -> None:
        sweeps = sweeps_of(item.config)
        if sweeps is not None:
            sweeps.show_replayed(error)

    def called(self, item: pytest.Item, report: pytest.TestReport) -> None:
        sweeps = sweeps_of(item.config)
        if sweeps is not None and sweeps.not_replayed and report.passed:
            path, line, _ = item.location
            report.outcome, report.longrepr = "skipped", (path, (line or 0) + 1, f"Skipped: {sweeps.not_replayed[0]}")

    def sections(self, item: pytest.Item, directory: str | None) -> list[tuple[str, str]]:
        """Write what the sweeps of a test that failed have found below *directory*, too; sections that say where."""
        sweeps = sweeps_of(item.config)
        if sweeps is None or directory is None:
            return []
        from .of_test import keep_sweeps  # noqa: PLC0415

        return keep_sweeps(directory, item.nodeid, sweeps.found)

    def traced(self, config: pytest.Config) -> Sequence[Traced]:
        sweeps = sweeps_of(config)
        if sweeps is None:
            return ()
        from .traced import sweep_facts  # noqa: PLC0415

        return [partial(sweep_facts, *judged) for judged in sweeps.judged]

    def unasked(self, config: pytest.Config) -> str:
        sweeps = sweeps_of(config)
        return "" if sweeps is None else sweeps.unasked()

    def test_ended(self, config: pytest.Config) -> None:
        """Keep what ``--scf-async-replay`` asks of the session."""
        sweeps = sweeps_of(config)
        if sweeps is not None:
            config.stash[_SWEEPS] = None
            _keep(config, replayed=sweeps.replayed, not_replayed=sweeps.not_replayed)

    def session_ended(self, session: pytest.Session, output: dict[str, Any] | None) -> None:
        config = session.config
        if config.option.scf_async_replay is not None:
            replay = config.stash.get(_REPLAY, (False, []))
            if output is not None:
                output[_REPLAY_OF_WORKER] = replay
            elif not replay[0]:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def worker_ended(self, config: pytest.Config, output: Mapping[str, Any]) -> None:
        replayed, not_replayed = output.get(_REPLAY_OF_WORKER, (False, []))
        _keep(config, replayed=replayed, not_replayed=not_replayed)

    def summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        sweeps = sweeps_of(config)
        if sweeps is not None:  # Ctrl-C: the test has no report
            for text in sweeps.reports():
                terminalreporter.section("scf async: what the sweep has found so far")
                terminalreporter.write_line(text)
        key, (replayed, not_replayed) = config.option.scf_async_replay, config.stash.get(_REPLAY, (False, []))
        if key is not None and not replayed:
            terminalreporter.write_line(
                f"ERROR: no sweep in this session has the run --scf-async-replay={key!r}", red=True
            )
            for line in not_replayed:
                terminalreporter.write_line(line)


def _keep(config: pytest.Config, *, replayed: bool, not_replayed: Sequence[str]) -> None:
    before, others = config.stash.get(_REPLAY, (False, []))
    config.stash[_REPLAY] = before or replayed, [*others, *not_replayed]
