"""What a wing may do in a session of pytest: the plugin asks each wing at these moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pytest

    from .async_event import AsyncEvent


Traced: TypeAlias = "Callable[[Callable[[str, int], int], Callable[[int], int | None], str], dict[str, Any]]"
"""Gives the data of something beside events that a trace shows, as JSON has it. It is called with what gives the number
of a place by its file and line, with what gives that of its file, and with the directory that paths are relative to."""


@dataclass(frozen=True)
class Reported:
    """One phase of a test, as the plugin reports it."""

    item: pytest.Item
    call: pytest.CallInfo[None]
    report: pytest.TestReport
    events: Sequence[AsyncEvent]
    already: Sequence[AsyncEvent]
    """Of these the ones that an earlier phase has shown."""
    wings: Sequence[WingHooks]
    directory: Callable[[], str | None]
    """Gives where files of tests that failed are kept; None: nowhere."""
    real_seconds: float | None
    """How long the call of the test has taken."""
    others: int
    """The number of sections that the report had before those about events."""

    @property
    def error(self) -> BaseException | None:
        """What the phase has raised."""
        return None if self.call.excinfo is None else self.call.excinfo.value

    def traced(self) -> Sequence[Traced]:
        """What a trace of the test shows beside its events."""
        return [each for wing in self.wings for each in wing.traced(self.item.config)]


class WingHooks:
    """A wing in a session of pytest; one that does nothing."""

    def configure(self, config: pytest.Config) -> None:
        """The session begins, with an option of a wing; raise ``pytest.UsageError`` for what is not valid."""

    def before_runtime(self, config: pytest.Config) -> None:
        """A runtime is about to be made."""

    def of_runtimes(
        self,
        config: pytest.Config,
        test: Callable[[], pytest.Item],
        seconds_left: Callable[[pytest.Item], float | None],
    ) -> Mapping[str, Any]:
        """Keywords for the runtimes that a test makes.

        *test* gives the one that runs, *seconds_left* the real seconds that are left to one, or None.
        """
        return {}

    def phase_ended(self, item: pytest.Item, error: BaseException | None) -> None:
        """A phase of the test has ended, while its output is still captured; *error* is what it raised."""

    def called(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """The call of the test has ended: change its *report*, where that is wanted."""

    def causes(self, item: pytest.Item) -> list[tuple[str, str]]:
        """Sections about why the test failed; they come before its events."""
        return []

    def sections(self, item: pytest.Item, directory: str | None) -> list[tuple[str, str]]:
        """Sections of the report of a test that failed, behind its events; what is kept of it lies in *directory*."""
        return []

    def traced(self, config: pytest.Config) -> Sequence[Traced]:
        """What a trace of the test shows of this wing."""
        return ()

    def reported(self, reported: Reported) -> None:
        """The report of a phase is made."""

    def unasked(self, config: pytest.Config) -> str:
        """Why a test that passed has tested nothing; empty: it has."""
        return ""

    def tests_ran(self) -> None:
        """All tests have run; coverage of the test's process is still to be reported."""

    def test_ended(self, config: pytest.Config) -> None:
        """The test is over, and its reports are made."""

    def session_ended(self, session: pytest.Session, output: dict[str, Any] | None) -> None:
        """The session is over; *output* is what a worker of xdist hands to the one that has started it."""

    def worker_ended(self, config: pytest.Config, output: Mapping[str, Any]) -> None:
        """A worker of xdist has handed in *output*; one that crashed has nothing in it."""

    def summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """The last lines of the session are written."""
