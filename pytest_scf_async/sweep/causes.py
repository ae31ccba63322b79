"""Why a class of findings fails, and what repairs it: only where the facts of the sweep prove it.

The facts are which effects the interruption is between, what each has done to its file, at which points around it the
same interruption does no harm, and how the interrupted event has ended.
"""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from ..model.statuses import Status
from ..protocol.shortening import shortened_list
from .differences import Kind
from .effects import EffectKind
from .findings import HARMFUL, missing_pattern
from .neighbours import Around
from .surroundings import NearEffect, Surroundings
from .titles import MAKES, WRITES

_DATABASE: Final = ("-journal", "-wal", "-shm")
_ARCHIVES: Final = ("tarfile", "zipfile")
"""Libraries whose files are whole between two calls, and nobody has them open then."""
_SHORTEST_NAME: Final = 3
"""Characters of a part of a file's name that is no accident in a source."""


class Cause(NamedTuple):
    """The reason for a failure, and its repair."""

    explanation: str = ""
    fix: str = ""
    """The repair; empty unless the facts prove it."""


def cause_of(around: Around) -> Cause:
    """The most telling cause that the facts prove; an empty one if they prove none."""
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
            self._of_buffer,
            self._of_files,
            self._of_nothing_saved,
            self._of_emptying,
            self._of_stop_in_between,
        ]
        yield from filter(None, (each() for each in of))

    @property
    def _replaced(self) -> str:
        """What puts a file into the place of another one, in the words of the program's language."""
        return "os.replace() it" if self._run.point.file else "rename it"

    def _followed(self, fix: str, path: str, effects: Sequence[NearEffect], *, is_whole: bool = False) -> str:
        """*fix* of how *path* is written, or what can be done instead where a library decides that.

        *is_whole*: all of the file is written anew.
        """
        library = next((each.library for each in effects if each.library), "")
        if not library:
            return fix
        if library in _ARCHIVES:
            return f"change a copy of {path}, then {self._replaced}"
        calls = {(each.function, each.place) for each in effects}
        if is_whole and len(calls) == 1 and self._is_named(path):
            return f"have {effects[0].function} write {path}.new, then {self._replaced}"
        return f"{library} decides how {path} is written: see whether an option of it makes it survive this"

    def _is_named(self, path: str) -> bool:
        """Whether the source has the name of that file, but for numbers in it."""
        parts = [part for part in re.split(r"\d+", os.path.basename(path)) if len(part) >= _SHORTEST_NAME]
        source = "".join(linecache.getlines(self._run.point.found.file))
        return bool(parts) and all(part in source for part in parts)

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
            not each.fails(HARMFUL)
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
        renamed = [each for each in done if each.call == "rename" and each.path == lost.what]
        before = "before it is renamed" if renamed else "once it is written"
        fix = f"{'flush and os.fsync()' if is_python else 'sync'} the file {before}"
        return Cause(what, self._followed(fix, lost.what, renamed))

    def _of_exit(self) -> Cause | None:
        """SIGTERM has ended it in a way that says that its work is done."""
        run = self._run
        (first, *others) = run.outcome.attempts
        is_missed = bool(run.kinds & {Kind.LOST, Kind.DIVERGED}) and not others and first.status == Status.FINISHED
        if not (is_missed and run.outcome.plan.is_graceful and run.outcome.done):
            return None
        if self._around.swept.is_job:
            return Cause(
                "After SIGTERM it exited with 0, which says that its work is done, so nobody starts it again",
                "exit with another code, such as 143, while there is work left",
            )
        return Cause(
            "After SIGTERM it returned what it returns when its work is done, so nobody invokes it again",
            "return something else, or raise, while there is work left",
        )

    def _of_instance(self) -> Cause | None:
        """The same stop does no harm if the next event finds the instance, or if it does not."""
        run = self._run
        if not run.outcome.plan.is_graceful or (run.outcome.end is None and not run.cold):
            return None
        twin = self._around.twin
        if twin is None or twin.fails(HARMFUL):
            return None
        if run.cold:
            return Cause(
                "It survives if the instance is used again: a new one lacks what was in a global, in /tmp or in an "
                "open file",
                "keep it in a file that outlives the instance",
            )
        return Cause(
            "It survives if the next event gets a new instance: in the same one a global, /tmp or an open file still "
            "has what the stopped event left",
            "reset it when an event begins",
        )

    def _of_listener(self) -> Cause | None:
        """SIGTERM came before there was a handler for it, and does no harm from then on."""
        runs = (each for each in self._around.swept.runs if each.outcome.plan.is_graceful)
        heard = [each for each in runs if each.outcome.listened]
        is_early = not any(each.outcome.listened for each in self._around.alike.runs)
        if not (self._run.outcome.plan.is_graceful and is_early and heard):
            return None
        if any(each.fails(HARMFUL) for each in heard):
            return None
        return Cause(
            "No SIGTERM handler had been installed by then, so SIGTERM ended the process at once",
            "install the SIGTERM handler first",
        )

    def _of_buffer(self) -> Cause | None:
        """A file that lacks something has been open for a while, and is written to for the first time later."""
        near = self._around.near
        if near is None or self._run.kinds.isdisjoint({Kind.LOST, Kind.DIVERGED}):
            return None
        for path in sorted(each.name for each in self._run.differences if each.effect is EffectKind.FILE):
            of_file = [each for each in near.effects if each.path == path]
            opened = next((each for each in reversed(of_file) if each.number <= near.begun), None)
            written = next(
                (each for each in (near.missed or of_file) if (each.number > near.begun and each.path == path)), None
            )
            if opened is None or written is None or opened.call != "open" or written.call not in WRITES:
                continue
            between = [each for each in near.effects if opened.number < each.number <= near.begun and each.paths]
            if between and not any(each.said for each in between):
                if written.other:
                    return Cause(
                        f"{written.other} writes to {path} in effect#{written.number}: what it is still to write is in "
                        "memory until then"
                    )
                at = f" at {written.place}" if written.place else ""
                return Cause(
                    f"{path} has been open since effect#{opened.number}, and effect#{written.number}{at} is the first "
                    "write to it: what the code writes before is in a buffer of the process until then, unless it "
                    "calls flush()"
                )
        return None

    def _of_nothing_saved(self) -> Cause | None:
        """It lacks what it would have written next, and a SIGTERM right after that write does no harm."""
        near = self._around.near
        is_stop = self._run.outcome.plan.is_graceful and self._run.outcome.listened
        if near is None or not near.resumes or not is_stop or not self._run.kinds & {Kind.LOST, Kind.DIVERGED}:
            return None
        if any(each.number > near.begun for each in near.effects):
            return None
        path, explanation = self._written_by_next_stop(near), "After SIGTERM it has written nothing more"
        if not path:
            return Cause(explanation)
        return Cause(
            f"{explanation}, and SIGTERM does no harm once {path} is written",
            f"after SIGTERM write {path} before it returns",
        )

    def _written_by_next_stop(self, near: Surroundings) -> str:
        """The one file that is written up to the next stop without harm, and lacks something; empty where none is."""
        until = self._around.begun_after
        if until is None or self._around.begun(self._run.point) != near.begun:
            return ""
        window = [each for each in near.missed if each.number <= until]
        finals = {*_final_paths(window).values()}
        proven = len(window) == until - near.begun > 0 and not any(each.said for each in window) and len(finals) == 1
        return finals.pop() if proven and finals <= self._names else ""

    def _of_emptying(self) -> Cause | None:
        """A kill came between the call that empties a file and the one that fills it: whether that is why, is open."""
        near = self._around.near
        if near is None or near.resumes or near.next is None or self._run.point.missing or self._around.by.failure:
            return None
        before = near.numbered(near.begun)
        if before is None or not before.empties or before.path != near.next.path or near.next.call not in WRITES:
            return None
        return Cause(self._emptying(before, near.next))

    def _of_stop_in_between(self) -> Cause | None:
        """A SIGTERM ended it between the call that empties a file and the one that fills it: before, and later, where
        what is in a buffer may be written as it ends, it does no harm."""
        near, before = self._around.near, self._around.begun_before
        if near is None or not near.resumes or not self._run.outcome.plan.is_graceful or before is None:
            return None
        emptied = near.numbered(near.begun)
        if emptied is None or not emptied.empties or not before < near.begun:
            return None
        path = emptied.path
        filled = next((each for each in near.missed if each.path == path and each.call in WRITES), None)
        goes_on = any(each.number > near.begun and each.path == path for each in near.effects)
        if filled is None or goes_on or self._around.after is None:
            return None
        explanation = f"{self._emptying(emptied, filled)}; after SIGTERM it ended in between"
        fix = f"write {path}.new, then {self._replaced}"
        is_whole = emptied.call != "truncate"
        return Cause(explanation, self._followed(fix, path, [emptied, filled], is_whole=is_whole))

    # -- what the effects between the nearest points without harm do to files ------------------------------------------

    def _of_files(self) -> Cause | None:
        near, begun, until = self._around.near, self._around.begun_before, self._around.begun_after
        if near is None or near.resumes or begun is None or until is None:
            return None
        if self._run.point.missing or self._around.by.failure is not None:
            return None
        window = [each for each in near.effects if begun < each.number <= until]
        if len(window) != until - begun or any(each.said for each in window):
            return None
        done = [each for each in window if each.number <= near.begun]
        todo = [each for each in window if each.number > near.begun]
        if not todo or not (done or self._run.point.cut):
            return None
        of = (self._of_removed, self._of_tree, self._of_database, self._of_one_file, self._of_two_files)
        return next(filter(None, (each(done, todo) for each in of)), None)

    def _of_removed(self, done: Sequence[NearEffect], todo: Sequence[NearEffect]) -> Cause | None:
        """A file, which counts, is gone before another one takes its place."""
        compared = {*self._around.swept.compared.files, *self._names}
        made = {each.path for each in todo if each.call in MAKES}
        for each in done:
            path = each.paths[0] if each.paths else ""
            if each.call in ("unlink", "rename") and path in compared and path in made:
                how = "removed" if each.call == "unlink" else "moved away"
                fix = f"leave the old one there, write {path}.new, then {self._replaced} over it"
                return Cause(f"{path} is {how} before the new one is there", self._followed(fix, path, [each]))
        return None

    def _of_tree(self, done: Sequence[NearEffect], todo: Sequence[NearEffect]) -> Cause | None:
        """A directory is made, or removed, piece by piece."""
        window = [*done, *todo]
        top = os.path.commonpath([each.path for each in window]) if all(each.path for each in window) else ""
        calls = {each.call for each in window}
        if not top or len(window) < 2 or any(len(each.paths) > 1 for each in window):
            return None
        if calls <= {"unlink", "rmdir"} and window[-1].path == top:
            explanation, fix = "is removed piece by piece, and some of it is gone by then", f"rename {top} away"
            return Cause(f"{top} {explanation}", self._followed(f"{fix}, then remove it", top, window))
        if any((each.call, each.path) == ("mkdir", top) for each in done):
            fix = f"make {top}.new as a whole, then {self._replaced}"
            return Cause(f"{top} is there before all that belongs into it is", self._followed(fix, top, window))
        return None

    def _of_database(self, done: Sequence[NearEffect], todo: Sequence[NearEffect]) -> Cause | None:
        """One commit was made, and another one not."""
        finals = {_database_of(each.path) for each in (*done, *todo)}
        is_database = any(_database_of(each.path) != each.path for each in (*done, *todo))
        is_about = any(each.effect is EffectKind.ROW for each in self._run.differences)
        if len(finals) != 1 or not is_database or not (is_about or Kind.NEVER_FINISHES in self._run.kinds):
            return None
        database = finals.pop()
        own = [each.after for each in done if each.path == database and each.after is not None]
        if own and not any(after.size for after in own):
            return Cause(
                f"{database} is empty until its first transaction is committed",
                f"at the start remove {database} if it is empty",
            )
        return Cause(
            f"{database} is changed in more than one transaction, and not all of them are committed by then",
            "make the changes in one transaction",
        )

    def _of_one_file(self, done: Sequence[NearEffect], todo: Sequence[NearEffect]) -> Cause | None:
        path = todo[0].path
        following = next((each for each in todo if each.after != each.before), todo[0])  # a clone may be refused first
        if any(each.path != path or len(each.paths) > 1 for each in (*done, *todo)):
            return None
        emptied = next((each for each in done if each.empties), None)
        if emptied is not None and following.call in WRITES:
            explanation = self._emptying(emptied, following)
            if any(each.after is not None and each.after.size for each in done) or self._run.point.cut:
                explanation = f"{path} is filled piece by piece, and not all of it is there by then"
            fix = f"write {path}.new, then {self._replaced}"
            return Cause(
                explanation, self._followed(fix, path, [*done, following], is_whole=emptied.call != "truncate")
            )
        last, before = todo[-1].after, following.before
        if following.call not in WRITES or last is None or before is None or last.size <= before.size:
            return None
        if last.ends_line and (self._run.point.cut or not before.ends_line):
            fix = f"at the start cut {path} off behind its last whole line"
            return Cause(f"{path} ends in the middle of a line by then", self._followed(fix, path, [*done, following]))
        pieces = done and done[-1].call in WRITES and done[-1].place == following.place
        if pieces and following.function and self._around.is_in_middle:
            fix = self._followed("join the pieces, and write them at once", path, [following])
            return Cause(f"{following.function} appends to {path} in more than one write", fix)
        return None

    def _of_two_files(self, done: Sequence[NearEffect], todo: Sequence[NearEffect]) -> Cause | None:
        run, finals = self._run, _final_paths([*done, *todo])
        changed, missing = ({finals[each.number] for each in some} for some in (done, todo))
        if len(changed) != 1 or len(missing) != 1 or changed == missing:
            return None
        (first,), (then,) = changed, missing
        if self._names.isdisjoint({first, then}) and Kind.NEVER_FINISHES not in run.kinds:
            return None
        if done[-1].call == "record":
            return None
        if todo[0].call == "record":
            explanation = f"{first} is changed before {then} is recorded, and the two belong together"
            return Cause(explanation, f"record {then} before {first} is changed")
        explanation = f"{first} is changed before {then} is, and the two belong together"
        fix = "keep both in one file that a rename puts in place, or in one transaction"
        if Kind.LOST in run.kinds and then in self._names:
            fix = f"change {then} before {first}, or keep both in one file"
        is_one_call = (done[-1].function, done[-1].place) == (todo[0].function, todo[0].place)
        return Cause(explanation, self._followed(fix, then, todo[:1]) if is_one_call else fix)

    @property
    def _names(self) -> set[str]:
        """The files that are wrong in the end, and of rows their databases."""
        return {each.name.partition(":")[0] for each in self._run.differences}

    def _emptying(self, emptied: NearEffect, following: NearEffect) -> str:
        was = emptied.before is not None and emptied.before.size > 0
        what = "empties the file" if was or len(self._around.passes) > 1 else "creates the file empty"
        if emptied.function and (emptied.function, emptied.place) == (following.function, following.place):
            return f"{emptied.function} {what} before filling it"
        by = " ".join(
            filter(None, (emptied.function or f"The {emptied.call}", emptied.place and f"at {emptied.place}"))
        )
        return f"{by} {what}, and it is filled later"


def _database_of(path: str) -> str:
    """The path of the database that a journal is of; that of another file."""
    for suffix in _DATABASE:
        path = path.removesuffix(suffix)
    return path


def _final_paths(window: Sequence[NearEffect]) -> dict[int, str]:
    """What each effect is about in the end: of what is renamed later the new name, of a journal the database."""
    finals: dict[int, str] = {}
    renamed: dict[str, str] = {}
    for each in reversed(window):
        if each.call == "rename":
            renamed[each.paths[0]] = renamed.get(each.path, each.path)
        finals[each.number] = _database_of(renamed.get(each.path, each.path))
    return finals
