"""The call of ``ScfRuntime`` that makes a sweep. What a sweep needs is imported when one is made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from ..async_event import AsyncEvent, Json
from ..errors import ScfUsageError, calls_named, hidden_from_users, keywords_named
from ..function import Function
from ..inner import is_of, version_of
from ..linux.linux import remove_tree
from ..model.configuration import JOB_PORT

if TYPE_CHECKING:
    from ..instances.runtimes.choice import Deployed
    from ..stage import Host
    from .guide import Guide
    from .ignored import Ignore
    from .interruptions import How
    from .run import EachRun, Run
    from .sweep import Sweep

    class Platform(Host, Protocol):
        """What the call asks of the runtime that has it, beside what its stages do."""

        _sweep_guide: Callable[[], object] | None

        @property
        def seed(self) -> str: ...
        def _scratch(self) -> str: ...


__tracebackhide__ = hidden_from_users

IN_INSTANCE = "pytest_scf_async.sweep.in_instance.part"
"""What each instance of a sweep imports."""


@calls_named
class SweepCalls:
    """The call that ``ScfRuntime`` has."""

    @keywords_named("sweep(...)")
    def sweep(
        self: Platform,
        function: Function,
        payload: Json = None,
        *,
        each_run: EachRun | None = None,
        check: Callable[[Run], object] | None = None,
        how: How | Iterable[How] = ("graceful", "forced"),
        within: float | timedelta | None = None,
        points: Literal["lines", "waits", "log"] = "lines",
        include: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        limit: int = 1000,
        done: Callable[[AsyncEvent], object] | int | Iterable[int] | None = None,
        retry: Callable[[AsyncEvent], Json] | None = None,
        attempts: int = 5,
        ignore: Ignore | Iterable[Ignore] | None = None,
        mutate: bool = False,
        compares_nothing: bool = False,
        workers: int | None = 1,
    ) -> Sweep:
        """Run *function* undisturbed, then interrupt it at each point where it can be, and see what is lost.

        After each interruption the function is invoked again, *attempts* times at most, until an event is FINISHED
        with the result of the undisturbed run; then the effects are compared: the result, the files and the rows of
        SQLite files in ``run.path``, what was observed, and the records. *each_run* is a generator function that is
        given a ``Run``, yields the environment of its handler, and may ``run.observe(...)`` after that. *check* is
        called with the ``Run`` once the interrupted event has ended. *how* are the interruptions: ``"graceful"``,
        ``"forced"``, ``"timeout"``, ``"power"``, ``graceful(...)``, ``fault(...)`` or ``power(...)``; those of the
        disk are refused where no effects can be recorded; a graceful stop that takes longer than *within* simulated
        seconds is late. *points* are the lines of user code, or only its waits or the lines of its log; *include* and
        *exclude* are patterns of files and lines; *limit* is how many runs and resumes are made. *done* says of an
        event whether it has done all, in place of that rule, or is an exit code of a job, or several, that says so (0
        unless given); *retry* gives the payload of the next invocation after
        an event, and *ignore* names what is not compared. With *mutate* the handler's own shutdown code is broken in
        several ways, in copies, and each is swept: the report names the breaks that the sweep does not notice.
        *compares_nothing* says that the handler only reads: its sweep finds events that never finish or are late, and
        other results. *workers* processes make the runs (None: one a
        core, where they take long), with the same report: what *each_run* and *check* change in
        memory, as a list of the test, is there in that process alone, and servers that they start need ports of their
        own. Raises ``ScfUsageError`` for what is not valid, for a handler whose undisturbed run is not FINISHED, for
        one that does not do the same in each run, and for one that leaves nothing that is compared, without *check* and
        *compares_nothing*.
        """
        from ..stage import Stages  # noqa: PLC0415
        from .guide import Guide  # noqa: PLC0415
        from .ignored import ignored_by_user  # noqa: PLC0415
        from .interruptions import interruptions  # noqa: PLC0415
        from .points import choice  # noqa: PLC0415
        from .recording import Drawing  # noqa: PLC0415
        from .request import Bench, requested, roots_of, scratch_of  # noqa: PLC0415
        from .run import Question, done_codes  # noqa: PLC0415
        from .sweep import sweep  # noqa: PLC0415

        given: object = function
        this: object = self
        if not isinstance(given, Function) or not is_of(given, this):
            raise ScfUsageError(f"sweep: function is {given!r}: it must be a function deployed by this runtime")
        version = version_of(function)
        guide = Guide() if self._sweep_guide is None else cast("Guide", self._sweep_guide())
        question = Question(
            *(version, payload, each_run, check, done if callable(done) else None, retry, attempts),
            *(self.clock.now, self.seed, roots_of(version), guide.effects_of, self.settings.real_limit),
            done_codes(done, version),
        )

        def job_of(command: Sequence[str], directory: str) -> Deployed:
            given = {"image": None, "command": command, "cwd": directory, "port": JOB_PORT, "in_process": False}
            deployed: Deployed = cast("Any", self)._image_of(given, (), "write_repro")  # another wing's call
            return deployed

        scratch, sandboxes = self._scratch(), self._sandboxes
        directory = scratch_of(sandboxes.zygote().scratch_in_memory() or scratch)
        try:
            stages = Stages(self, IN_INSTANCE, Drawing)
            unmounted = sandboxes.why_no_namespaces
            bench = Bench(stages.stage, directory, scratch, guide, unmounted, stages.forked, job_of)
            request = requested(
                question,
                bench,
                interruptions(how),
                choice(points, include, exclude, limit),
                ignored_by_user(ignore),
                within=within,
                mutate=mutate,
                compares_nothing=compares_nothing,
                workers=workers,
            )
            return sweep(request, bench)
        finally:
            remove_tree(os.fspath(directory))
