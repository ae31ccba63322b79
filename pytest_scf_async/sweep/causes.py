"""Why a class of findings fails, and what repairs it: only where the facts of the sweep prove it.

The facts are which effects the interruption is between, what each has done to its file, at which points around it the
same interruption does no harm, and how the interrupted event has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from ..model.statuses import Status
from ..protocol.shortening import shortened_list
from .differences import Kind
from .effects import EffectKind
from .findings import FAILURES, missing_pattern
from .neighbours import Around
from .surroundings import NearEffect

_HARM: Final = FAILURES | {Kind.DOUBLED}
_WRITES: Final = frozenset({"write", "sendfile", "copy_file_range", "splice"})
_DATABASE: Final = ("-journal", "-wal", "-shm")


class Cause(NamedTuple):
    """Why something fails."""

    explanation: str = ""
    fix: str = ""
    """What repairs it; empty where that is not proven."""


def cause_of(around: Around) -> Cause:
    """The most telling cause that the facts prove; an empty one where they prove none."""
    return next(_Causes(around).found(), Cause())


class _Causes:
    def __init__(self, around: Around) -> None:
        self._around, self._run = around, around.run

    def found(self) -> Iterator[Cause]:
        of: list[Callable[[], Cause | None]] = [
            self._of_fault,
            self._of_power,
            self._of_exit,
            self._of_instance,
            self._of_listener,
            self._of_files,
            self._of_nothing_saved,
        ]
        yield from filter(None, (each() for each in of))

    @property
    def _replaced(self) -> str:
        """What puts a file into the place of another one, in the words of the program's language."""
        return "os.replace() it" if self._run.point.file else "rename it"

    def _of_fault(self) -> Cause | None:
        run = self._run
        (first, *others) = run.outcome.attempts
        if self._around.by.failure is None or others or first.status != Status.FINISHED or not run.outcome.done:
            return None
        what = shortened_list(run.outcome.failed, 1) if run.outcome.failed else "a call on a connection"
        end = "let the error end the event, or try again"
        if self._around.swept.is_job:
            end = "exit with another code than 0"
        error = self._around.by.failure.upper()
        return Cause(f"{what} failed with {error}, and the event ended as if it had not", f"{end} after it")

    def _of_power(self) -> Cause | None:
        lost, near = self._run.point.unsynced, self._around.near
        if lost is None:
            return None
        what = missing_pattern(self._run.point)
        proven = near is not None and any(
            not each.fails(_HARM)
            and each.how.startswith(("forced", "power"))
            and self._around.begun(each.point) == near.begun
            for each in self._around.swept.runs
        )
        if near is None or not proven:
            return Cause(what)
        is_python = bool(self._run.point.file)
        if lost.is_name:
            return Cause(what, f"{'os.fsync()' if is_python else 'sync'} the directory once the name is there")
        done = [each for each in near.effects if each.number <= near.begun]
        renamed = any(each.call == "rename" and each.path == lost.what for each in done)
        before = "before it is renamed" if renamed else "once it is written"
        return Cause(what, f"{'flush and os.fsync()' if is_python else 'sync'} the file {before}")

    def _of_exit(self) -> Cause | None:
        """SIGTERM has ended it in a way that says that its work is done."""
        run = self._run
        (first, *others) = run.outcome.attempts
        is_missed = bool(run.kinds & {Kind.LOST, Kind.DIVERGED}) and not others and first.status == Status.FINISHED
        if not (is_missed and run.outcome.plan.is_graceful and run.outcome.done):
            return None
        if self._around.swept.is_job:
            return Cause(
                "After SIGTERM it exits with 0, which says that its work is done, so nobody starts it again",
                "exit with another code, such as 143, while there is work left",
            )
        return Cause(
            "After SIGTERM it returns what it returns when its work is done, so nobody invokes it again",
            "return something else, or raise, while there is work left",
        )

    def _of_instance(self) -> Cause | None:
        """The same stop does no harm if the next event finds the instance, or if it does not."""
        run = self._run
        if not run.outcome.plan.is_graceful or (run.outcome.end is None and not run.cold):
            return None
        twin = self._around.twin
        if twin is None or twin.fails(_HARM):
            return None
        if run.cold:
            return Cause(
                "The same stop does no harm if the instance is used again: what a new one lacks was in a global, in "
                "/tmp or in an open file",
                "keep it in a file that outlives the instance",
            )
        return Cause(
            "The same stop does no harm if the next event gets a new instance: a global, /tmp or an open file still "
            "has what the stopped event left",
            "reset it when an event begins",
        )

    def _of_listener(self) -> Cause | None:
        """SIGTERM came before there was a listener."""
        stops = [each for each in self._around.swept.runs if each.outcome.plan.is_graceful]
        heard = [each for each in stops if each.outcome.listened]
        if (
            not self._run.outcome.plan.is_graceful
            or any(each.outcome.listened for each in self._around.alike.runs)
            or not heard
        ):
            return None
        if any(each.fails() for each in heard):
            return Cause("No SIGTERM handler had been installed by then, so SIGTERM ended the process at once")
        return Cause(
            "No SIGTERM handler had been installed by then, so SIGTERM ended the process at once",
            "install it before anything else",
        )

    def _of_nothing_saved(self) -> Cause | None:
        near = self._around.near
        is_stop = self._run.outcome.plan.is_graceful and self._run.outcome.listened
        if near is None or not near.resumes or not is_stop or not self._run.kinds & {Kind.LOST, Kind.DIVERGED}:
            return None
        if any(each.number > near.begun for each in near.effects):
            return None
        return Cause("After SIGTERM it has written nothing more")

    def _of_files(self) -> Cause | None:
        """What the effects between the nearest points without harm do to files."""
        near = self._around.near
        if (
            near is None
            or near.resumes
            or self._around.begun_before is None
            or self._around.begun_after is None
            or self._run.point.missing
        ):
            return None
        window = [each for each in near.effects if self._around.begun_before < each.number <= self._around.begun_after]
        if len(window) != self._around.begun_after - self._around.begun_before or any(each.said for each in window):
            return None
        done = [each for each in window if each.number <= near.begun]
        todo = [each for each in window if each.number > near.begun]
        if not todo or not (done or self._run.point.cut):
            return None
        finals = _final_paths(window)
        changed = list(dict.fromkeys(finals[each.number] for each in done))
        missing = list(dict.fromkeys(finals[each.number] for each in todo))
        if len({*changed, *missing}) == 1:
            return self._of_one_file(missing[0], done, todo)
        if len(changed) == 1 and len(missing) == 1:
            return self._of_two_files(changed[0], missing[0])
        return None

    def _of_one_file(self, path: str, done: Sequence[NearEffect], todo: Sequence[NearEffect]) -> Cause | None:
        emptied = next((each for each in done if each.empties), None)
        following, is_row = todo[0], any(each.effect is EffectKind.ROW for each in self._run.differences)
        if is_row and all(each.path.startswith(path) for each in (*done, *todo)):
            return Cause(
                f"{path} is changed in more than one transaction, and the first one is committed by then",
                "make the changes in one transaction",
            )
        removed = next((each for each in done if each.call in ("unlink", "rename") and each.paths[0] == path), None)
        if removed is not None and any(each.path == path for each in todo):
            return Cause(
                f"{path} is {'removed' if removed.call == 'unlink' else 'moved away'} before the new one is there",
                f"write {path}.new, then {self._replaced}: it takes the place of the old one",
            )
        if any(each.path != path for each in (*done, *todo)):
            return None
        by = next((each.function for each in (following, *done) if each.function), "")
        if emptied is not None:
            was = emptied.before is not None and emptied.before.size > 0
            is_partial = len(done) > 1 or self._run.point.cut
            what = "empties the file" if was or len(self._around.passes) > 1 else "creates the file empty"
            explanation = f"{by or 'It'} {what} before filling it"
            if is_partial:
                explanation = f"{by or 'It'} fills the file piece by piece, and not all of it is there by then"
            return Cause(explanation, f"write {path}.new, then {self._replaced}")
        last = todo[-1].after
        appends = following.call in _WRITES and following.before is not None and following.before.size > 0
        if appends and last is not None and last.ends_line and not self._ends_line(following):
            return Cause(
                f"{path} ends in the middle of a line by then",
                f"when it starts, cut {path} off behind its last whole line",
            )
        return None

    def _ends_line(self, following: NearEffect) -> bool:
        if self._run.point.cut:
            return False
        return following.before is None or following.before.ends_line

    def _of_two_files(self, first: str, then: str) -> Cause | None:
        run = self._run
        names = {each.name.partition(":")[0] for each in run.differences}
        is_about = not names.isdisjoint({first, then}) or bool(run.kinds & {Kind.NEVER_FINISHES})
        if not is_about:
            return None
        explanation = f"{first} is changed before {then} is, and the two belong together"
        if Kind.LOST in run.kinds and then in names:
            return Cause(explanation, f"change {then} before {first}, or keep both in one file")
        return Cause(explanation, "keep both in one file that a rename puts in place, or in one transaction")


def _final_paths(window: Sequence[NearEffect]) -> dict[int, str]:
    """What each effect is about in the end: of what is renamed later the new name, of a journal the database."""
    finals: dict[int, str] = {}
    renamed: dict[str, str] = {}
    for each in reversed(window):
        if each.call == "rename":
            renamed[each.paths[0]] = renamed.get(each.path, each.path)
        path = renamed.get(each.path, each.path)
        for suffix in _DATABASE:
            path = path.removesuffix(suffix)
        finals[each.number] = path
    return finals
