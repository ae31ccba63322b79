"""pytest's side of sweeps: what those of a test are told, and what becomes of what they have found."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from ..errors import ScfUsageError
from ..report.teardown import unasked_text
from ..report.test_directory import directory_name
from .differences import Kind
from .findings import HARMFUL, Swept, classes
from .guide import Guide, nothing
from .neighbours import Around
from .progress import Progress
from .repairs.found import Repairs
from .report import class_text, failure_text, sweep_text, text_without_classes
from .titles import class_title

if TYPE_CHECKING:
    from .run import Run

KEPT_KEYS: Final = 100
"""Keys of runs that failed which pytest's cache keeps of one sweep: the first one of each class before all others."""
_SHARD: Final = re.compile(r"([1-9]\d*)/([1-9]\d*)", re.ASCII)


def shard_of(text: str) -> tuple[int, int]:
    """What ``--scf-async-shard`` says, (2, 5) for ``2/5``; ``pytest.UsageError`` for what is not valid."""
    found = _SHARD.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise pytest.UsageError(
            f"--scf-async-shard={text!r} is not valid: it must be one part of several, as in 2/5, and the last one is "
            "5/5"
        )
    return int(found[1]), int(found[2])


class _Made:
    """One sweep of a test."""

    def __init__(self) -> None:
        self.swept: Swept | None = None
        self.repairs: Repairs | None = None
        self.asked = False
        self.failure = ""
        """The message of its last assertion that failed; it is the report."""
        self.kinds = HARMFUL
        """What that assertion counts as wrong, or the last one that passed."""

    def finish(self, swept: Swept) -> None:
        self.swept = swept

    def ask(self) -> None:
        self.asked = True

    def judge(self, text: str, kinds: frozenset[Kind]) -> None:
        """Note what an assertion says; *text* is empty where it has passed."""
        if text or not self.failure:
            self.failure, self.kinds = text, kinds


class SweepsOfTest:
    """The sweeps of one test."""

    def __init__(self, item: pytest.Item, seconds_left: Callable[[], float | None]) -> None:
        self._item = item
        self._config = item.config
        self._seconds_left = seconds_left
        self._made: list[_Made] = []
        self._replay: str = self._config.option.scf_async_replay or ""
        self.replayed = False
        """Whether one of them had the run that ``--scf-async-replay`` names."""
        self._not_replayed: list[str] = []
        self._to_show: list[_Made] = []

    @property
    def not_replayed(self) -> list[str]:
        """What is wrong with that key, if none of them had it."""
        return [] if self.replayed else self._not_replayed

    @property
    def found(self) -> list[Swept]:
        """What has been found, by each sweep that came so far."""
        return [made.swept for made in self._made if made.swept is not None]

    @property
    def judged(self) -> list[tuple[Swept, frozenset[Kind]]]:
        """The same, with what counts as wrong with the runs of each."""
        return [(made.swept, made.kinds) for made in self._made if made.swept is not None]

    def reports(self) -> list[str]:
        """All that has been found, as texts."""
        repairs = [made.repairs.report for made in self._made if made.repairs is not None]
        return [*(sweep_text(swept) for swept in self.found), *repairs]

    def unasked(self) -> str:
        """Why the test has tested nothing, if it never asked for what a sweep has found."""
        names = [made.swept.function for made in self._made if made.swept is not None and not made.asked]
        return unasked_text(names) if names else ""

    def guide(self) -> Guide:
        """What the next sweep of the test is told."""
        made = _Made()
        self._made.append(made)
        failed_before = _FailedBefore(self._item, len(self._made))
        progress = Progress(nothing if self._replay else _line_of(self._config))
        shard: str | None = self._config.option.scf_async_shard

        def finished(swept: Swept) -> None:
            made.finish(swept)
            progress.end()
            failed_before.keep(swept, whole=not (self._replay or shard))
            if self._replay and swept.runs:
                self.replayed = True
                self._to_show.append(made)

        def repaired(repairs: Repairs) -> None:
            made.repairs = repairs
            progress.end()

        return Guide(
            test=_as_given(self._item),
            directory=os.fspath(self._config.invocation_params.dir),
            replay=self._replay,
            shard=None if shard is None else shard_of(shard),
            first=failed_before.keys(),
            seconds_left=self._seconds_left,
            begins=progress.begin,
            progress=progress.come_to,
            finished=finished,
            tries=progress.begin,
            repaired=repaired,
            effects_of=self._effects_of,
            no_such_run=self._no_such_run,
            asked=made.ask,
            failure=lambda swept, kinds: self._failure(made, swept, kinds),
        )

    def show_replayed(self, error: BaseException | None) -> None:
        """Show the reports that ``--scf-async-replay`` asks for, but none that is the message of the test's *error*."""
        to_show, self._to_show = self._to_show, []
        for made in to_show:
            if made.swept is not None and (error is None or not made.failure or str(error) != made.failure):
                self._show(f"{self._item.nodeid}: {sweep_text(made.swept)}")

    def _no_such_run(self, sentence: str) -> None:
        """A key is of one sweep, and a session has many: the others make no run, and nothing is wrong with them."""
        self._not_replayed.append(f"{self._item.nodeid}: {sentence}")

    def _show(self, text: str) -> None:
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None or hasattr(self._config, "workerinput"):  # a worker of xdist: shown if the test fails
            sys.stdout.write(f"{text}\n")
            return
        with _uncaptured(self._config):
            for line in text.splitlines():
                terminal.write_line(line)
            terminal.flush()

    def _effects_of(self, run: Run) -> Mapping[str, object]:
        """What plugins give, by name; ``ScfUsageError`` for a name that two of them give."""
        effects: dict[str, object] = {}
        for given in self._item.ihook.pytest_scf_async_sweep_effects(run=run):
            if not isinstance(given, Mapping):
                raise ScfUsageError(
                    f"an implementation of pytest_scf_async_sweep_effects returned {given!r}: it must return a dict of "
                    "values by name, or None"
                )
            for name, value in given.items():
                if not isinstance(name, str) or name in effects:
                    why = "are given twice" if name in effects else "are not a valid name: it must be a str"
                    raise ScfUsageError(f"pytest_scf_async_sweep_effects: the effects {name!r} {why}")
                effects[name] = value
        return effects

    def _failure(self, made: _Made, swept: Swept, kinds: frozenset[Kind]) -> str:
        """Why a sweep fails; one without the run that is to be repeated does not.

        Each class is a failing subtest of its own where the test has the fixture ``subtests``.
        """
        if self._replay and not swept.runs:
            return ""
        text = failure_text(swept, kinds)
        subtests: Any = getattr(self._item, "funcargs", {}).get("subtests")
        found = classes(swept.runs, kinds)
        if text and found and subtests is not None:
            for alike in found:
                with subtests.test(class_title(Around(swept, alike))):
                    pytest.fail(class_text(swept, alike), pytrace=False)
            text = text_without_classes(swept, kinds)
        made.judge(text, kinds)
        return text


def keep_sweeps(directory: str, nodeid: str, sweeps: Sequence[Swept]) -> list[tuple[str, str]]:
    """Write *sweeps* of a test beside its events, as JSON; sections of the report that say where each is."""
    from .data import swept_json  # noqa: PLC0415  (few tests that fail have one)

    of_test = Path(directory, directory_name(nodeid))
    sections = []
    for number, swept in enumerate(sweeps, 1):
        path = of_test / f"sweep-{number}-{swept.function}.json"
        try:
            of_test.mkdir(parents=True, exist_ok=True)
            path.write_text(swept_json(swept), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            where = f"not written to {path}: {error.strerror or error}"
        else:
            where = str(path)
        sections.append((f"scf async: sweep of {swept.function}", f"--- in full: {where} ---"))
    return sections


def _as_given(item: pytest.Item) -> str:
    """The test as the command ``pytest`` takes it in the directory in which it was called."""
    path = os.path.relpath(item.path, item.config.invocation_params.dir)
    return shlex.quote(path + "".join(item.nodeid.partition("::")[1:]))


class _FailedBefore:
    """The keys of the runs of one sweep that failed the last time, in pytest's cache.

    Each test has an entry of its own, as workers of xdist write at the same time.
    """

    def __init__(self, item: pytest.Item, number: int) -> None:
        self._cache: Any = getattr(item.config, "cache", None)
        self._entry = f"scf-async/sweeps/{directory_name(item.nodeid)}"
        self._number = str(number)

    def keys(self) -> tuple[str, ...]:
        found = self._of_test().get(self._number)
        return tuple(key for key in found if isinstance(key, str)) if isinstance(found, list) else ()

    def keep(self, swept: Swept, *, whole: bool) -> None:
        """Keep those of *swept*; others too that were not made this time, where it was not the *whole* sweep."""
        if self._cache is None:
            return
        before = self.keys()
        found = classes(swept.runs, HARMFUL)
        failed = [alike.earliest.key for alike in found] + [run.key for alike in found for run in alike.runs[1:]]
        if not whole or swept.incomplete:
            made = {run.key for run in swept.runs}
            failed += [key for key in before if key not in made]
        if failed != list(before):
            self._cache.set(self._entry, {**self._of_test(), self._number: failed[:KEPT_KEYS]})

    def _of_test(self) -> dict[str, Any]:
        found = None if self._cache is None else self._cache.get(self._entry, None)
        return found if isinstance(found, dict) else {}


# -- the progress ------------------------------------------------------------------------------------------------------


def _line_of(config: pytest.Config) -> Callable[[str], None]:
    """Shows a line; none where nobody looks at a terminal: under xdist, in CI, in a pipe; and with ``-q``."""
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or not terminal.isatty or config.get_verbosity() < 0:
        return nothing
    if any(os.environ.get(name) for name in ("CI", "BUILD_NUMBER")):  # as pytest itself finds out
        return nothing

    def show(text: str) -> None:
        with _uncaptured(config):
            terminal.ensure_newline()
            terminal.rewrite(text, erase=True)
            if not text:
                terminal.rewrite("")
            terminal.flush()

    return show


def _uncaptured(config: pytest.Config) -> contextlib.AbstractContextManager[None]:
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
