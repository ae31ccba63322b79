"""A finding to take away: the directory as an interruption left it, and a script that starts the program on it.

Nothing of this package is needed to run it. Before a repro is given it is run: undisturbed, where it has to leave what
the sweep compares with, and on what the interruption left, where the same has to be wrong as in the sweep.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from ..errors import CannotEndError, ScfUsageError
from ..inner import look_at
from ..instances.function_version import FunctionVersion
from ..instances.layers import OPT, copy_layers
from ..instances.runtimes.strategy import RUN_PATH
from ..protocol.real_time import REAL
from ..protocol.shortening import shortened_list
from .comparison import compare
from .difference_texts import difference_text, run_difference_lines
from .differences import Difference, Kind
from .effects import OWN_DIRECTORY, EffectKind, files_and_rows, gathered
from .findings import FAILURES, HARMFUL, Evidence, FailureClass, SweepRun, Swept, classes
from .imported import have_said, versions_in
from .issue import Issue, how_it_fails
from .normal_forms import ANY
from .opened import opened_in
from .run import LARGEST_KEPT, copy_tree, exit_code

LIMIT: Final = 86_400
"""Simulated seconds that a run of a repro may take before it is given."""
_LEAST: Final = 60
"""Real seconds that each start of a repro may take at least, ..."""
_TIMES: Final = 10
"""... and so many times what it is known to take: the machine of another one may be slow, or busy."""
_FILES: Final = 30
"""Files of the program that the description names."""
_TIMED_OUT: Final = 433
"""The status code of an event that has reached its function's timeout."""
_NAMED: Final = 3
"""Layers that a refusal names."""
_OF_FILES: Final = (EffectKind.FILE, EffectKind.ROW, EffectKind.RESULT, EffectKind.EVENTS)
"""What a program that is started on a directory can show."""
_NOT_DONE: Final = (EffectKind.RESULT.value, EffectKind.EVENTS.value)
"""Where these are wrong, no start says that the work is done."""
_DATABASES: Final = """
# A database is compared by its rows: its bytes depend on how they came there.
rows() {
    [ -s "$1" ] || return 0
    python3 - "$1" > "$1.sql" << 'END' && rm -f "$1" "$1-wal" "$1-shm" "$1-journal"
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*connection.iterdump(), sep="\\n")
connection.close()
END
}
for name in {names}; do rows "compared/$name"; done
"""
_LEFT_OUT: Final = """
# These files are not compared: they differ from run to run by themselves, or are to be ignored.
(cd compared && find . -depth) | while IFS= read -r name; do
    case ${{name#./}} in {patterns}) rm -rf "compared/$name" ;; esac
done
"""
_SCRIPT: Final = """#!/bin/sh
# Starts {what} on what an interruption has left (state/), until it is done, and compares what is there then with
# what it leaves undisturbed (expected/). Exit code: 0 it is the same, 1 it is not, 2 it could not be tried.
# `sh repro.sh undisturbed` starts it on what was there before, and so has to end with 0.
# A start that has not ended after {limit} s, or $REPRO_LIMIT, is killed, and is the last one: its work is not done.
here=$(cd "$(dirname "$0")" && pwd) || exit 2
path=$here/result
rm -rf "$path" "$here/compared" && mkdir "$path" || exit 2
from=state
[ "${{1-}}" != undisturbed ] || from=start
[ ! -d "$here/$from" ] || cp -a "$here/$from/." "$path/" || exit 2
limit=${{REPRO_LIMIT:-{limit}}}
command -v timeout > /dev/null || timeout() {{ shift 3; "$@"; }}  # without one a start may take any time
{directory}cd "$project" || exit 2
code=
for start in {starts}; do
    began=$(date +%s)
    timeout -s KILL "$limit" {command} < /dev/null
    code=$?
    case $code in {codes}) break ;; esac
    if [ "$code" = 137 ] && [ "$(($(date +%s) - began))" -ge "$limit" ]; then
        echo "start $start has not ended after $limit s"
        exit 1
    fi
    echo "start $start ended with exit code $code"
done
case $code in {codes}) ;; *) echo "it is not done after {number}: exit code $code"; exit 1 ;; esac
cd "$here" && cp -a result compared || exit 2
{more}differences=$(LC_ALL=C diff -r expected compared{filtered})
[ -n "$differences" ] || {{ echo "it has left the same as undisturbed"; exit 0; }}
printf '%s\\n' "$differences" | sed -n '1,40p'
echo "it has left something else (compared/) than undisturbed (expected/)"
exit 1
"""
_CALL: Final = '''"""Calls the handler once. Exit code: 0 it has returned what it returns undisturbed, else 1."""

import importlib
import json
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.getcwd())
layers = os.path.join(here, "layers")
if os.path.isdir(layers):  # which the platform has at /opt
    sys.path.insert(1, layers)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (layers, os.environ.get("PYTHONPATH"))))
with open(os.path.join(here, "call.json"), encoding="utf-8") as file:
    given = json.load(file)
handler = getattr(importlib.import_module(given["module"]), given["function"])
result = json.loads(json.dumps(handler(given["event"], given["context"])).replace(sys.argv[1], given["path"]))
print("it has returned", json.dumps(result))
sys.exit(0 if not given["compared"] or result == given["result"] else 1)
'''


def write_repro(evidence: Evidence, alike: FailureClass, directory: str | os.PathLike[str]) -> Path:
    """Write the repro of a class to *directory*, which is made. Raises ``ScfUsageError`` where there can be none."""
    target = Path(directory).absolute()
    run = _chosen(evidence, alike)
    for why in _why_none(evidence, run):
        raise ScfUsageError(f"no repro of {alike.earliest.key}: {why}")
    try:
        target.mkdir(parents=True)
    except FileExistsError:
        raise ScfUsageError(f"write_repro({os.fspath(directory)!r}): {target} already exists") from None
    except OSError as error:
        raise ScfUsageError(f"write_repro({os.fspath(directory)!r}): {error.strerror or error}") from None
    try:
        why = _Repro(evidence, run, target).write()
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    if why:
        shutil.rmtree(target, ignore_errors=True)
        raise ScfUsageError(f"no repro of {run.key}: {why}")
    evidence.wrote_repro(alike.earliest.key, target)
    return target


def with_repros(swept: Swept, found: Sequence[FailureClass]) -> list[FailureClass]:
    """The classes *found* in *swept*, each able to write its repro."""
    writer = None if swept.evidence is None else partial(write_repro, swept.evidence)
    return [replace(alike, writer=writer) for alike in found]


def _chosen(evidence: Evidence, alike: FailureClass) -> SweepRun:
    """The earliest run of a class of which the directory is kept; of none the earliest."""
    return next((each for each in alike.runs if each.key in evidence.states), alike.earliest)


def repro_call(swept: Swept, alike: FailureClass) -> str:
    """The call that writes the repro of a class; empty where that cannot succeed, as far as is known without looking
    at its files."""
    if swept.evidence is None:
        return ""
    if next(_why_never(swept.evidence, _chosen(swept.evidence, alike)), None) is not None:
        return ""
    keys = [each.earliest.key for each in classes(swept.runs, FAILURES)]
    key = alike.earliest.key
    return f"sweep.failures[{keys.index(key)}].write_repro(path)" if key in keys else ""


def written_repro(swept: Swept, alike: FailureClass) -> Path | None:
    """The script of the repro of a class, if one was written and has not been removed since."""
    directory = None if swept.evidence is None else swept.evidence.repros.get(alike.earliest.key)
    script = None if directory is None else directory / "repro.sh"
    return script if script is not None and script.is_file() else None


def _why_none(evidence: Evidence, run: SweepRun) -> Iterator[str]:
    """Why *run* can have no repro."""
    yield from _why_never(evidence, run)
    if _has_path(evidence, evidence.states.get(run.key)):
        yield "what it writes contains the path of the run's directory, which is another one in a repro"


def _why_never(evidence: Evidence, run: SweepRun) -> Iterator[str]:
    question, attempts = evidence.question, run.outcome.attempts
    if question.function.runtime.bare_command is None:
        yield "only a job, or a handler in Python, can be started without a platform"
    state = evidence.states.get(run.key)
    if state is None:
        yield (
            "its directory was not kept: a sweep that runs to its end keeps one for each of its first 8 classes, of up "
            "to 256 MiB, where the run came to the same when it was made again"
        )
    elif not state.is_dir():
        yield "what the sweep kept was deleted with its runtime"
    if not _shown_by(run.differences):
        yield f"what is wrong is not in the files: {'; '.join(run_difference_lines(run.differences[0]))}"
    if evidence.spoke_to:
        yield f"it talks to another process ({evidence.spoke_to}), whose state is not in the directory"
    for name in ("done", "retry"):
        if getattr(question, name) is not None:
            yield f"{name}= of the test is involved"
    if run.outcome.done and len(attempts) == 1:
        yield "it reports that its work is done, so nobody starts it again, and no start can fail"


def _has_path(evidence: Evidence, state: Path | None) -> bool:
    """Whether the path of the run's directory is in one of the files."""
    expected, own = evidence.expected, os.fsencode(evidence.path)
    texts = [each.content or b"" for each in expected.files.values()]
    if OWN_DIRECTORY in json.dumps([*expected.rows.values()]) or any(OWN_DIRECTORY.encode() in text for text in texts):
        return True
    for directory in filter(None, (state, evidence.start)):
        for path in directory.rglob("*"):
            if path.is_symlink() and own in os.fsencode(os.readlink(path)):
                return True
            if path.is_file() and not path.is_symlink() and own in path.read_bytes():
                return True
    return False


def _shown_by(differences: Iterable[Difference]) -> set[tuple[str, str, str]]:
    """What of *differences* a start on the directory shows."""
    kinds = HARMFUL
    found = [each for each in differences if each.kind in kinds and each.effect in _OF_FILES]
    return {(each.kind.value, each.effect.value, each.name) for each in found}


class _Repro:
    def __init__(self, evidence: Evidence, run: SweepRun, target: Path) -> None:
        self._evidence, self._run, self._target = evidence, run, target
        self._question = evidence.question
        self._code = self._question.function.code_to_run()
        command = self._question.function.runtime.bare_command
        assert command is not None
        self._command = command
        self._codes = self._question.done_codes or (0,)
        self._layers = () if command else self._question.function.configuration.layers
        self._databases: list[str] = []
        self._patterns: list[str] = []
        self._is_copied = False
        self._opened: list[str] = []
        """The files that the program opens in its directory, undisturbed and on what the interruption has left."""
        self._files: list[Path] = []
        """Those that are copied."""
        self._versions: list[str] = []
        """Of Python, and of what the program has imported, as it was undisturbed."""
        self._printed = ""
        """What the script prints on what the interruption has left."""
        self._waited = 0.0
        """Simulated seconds that the script has taken when it ran last."""
        self._limit = LIMIT
        """Real seconds that a start may take."""
        self._is_ended = True
        """Whether the script has come to its end on what the interruption has left."""

    def write(self) -> str:
        """Write it; why it is none, where it turns out to be none."""
        run, evidence, target = self._run, self._evidence, self._target
        _copy(evidence.states[run.key], target / "state")
        if evidence.start is not None:
            _copy(evidence.start, target / "start")
        self._write_call()
        self._copy_layers()
        self._opened, last_words = self._run_in_place()
        why = ""
        for layout in (self._copy_program, self._leave_program):
            if not layout():
                continue
            why = self._try_undisturbed() or self._try_state()
            if not why and self._is_copied and self._last_words() != last_words:
                why = f"without all that is in {self._code.directory} it fails differently"
            if not why:
                break
        if why:
            shown = shortened_list([*map(os.path.basename, self._layers)], _NAMED)
            return f"{why}; of its layers ({shown}) it has a copy, not at {OPT}" if self._layers else why
        for name in ("result", "compared"):
            shutil.rmtree(target / name, ignore_errors=True)
        (target / "ISSUE.md").write_text(self._issue(), encoding="utf-8")
        return ""

    # -- its files -----------------------------------------------------------------------------------------------------

    def _write_call(self) -> None:
        if self._command:
            return
        expected, ignored = self._evidence.expected, self._evidence.ignored
        result = EffectKind.RESULT, EffectKind.RESULT.value
        given = {
            "module": self._code.module,
            "function": self._code.function,
            "event": self._question.payload,
            "context": self._evidence.began.context,
            "path": OWN_DIRECTORY,
            "compared": expected.has_result and not ignored.has(*result) and result not in ignored.values,
            "result": expected.result,
        }
        (self._target / "call.json").write_text(json.dumps(given, indent=2) + "\n", encoding="utf-8")
        (self._target / "call.py").write_text(_CALL, encoding="utf-8")

    def _copy_layers(self) -> None:
        """Copy its layers: where the platform has them, at ``/opt``, only root could put them."""
        if self._layers:
            (self._target / "layers").mkdir()
            copy_layers(self._layers, os.fspath(self._target / "layers"), os.fspath(self._target))

    def _copy_program(self) -> bool:
        """Copy the files of the program: those that its command names, and what it has opened of its directory.

        False: there are none, or they are larger than what is kept."""
        directory = Path(self._code.directory)
        words = self._command or [self._code.entry_name]
        named = [os.path.relpath(os.path.join(directory, word), directory) for word in words if word]
        paths = map(Path, sorted({*named, *self._opened}))
        self._files = files = [path for path in paths if ".." not in path.parts and (directory / path).is_file()]
        if sum((directory / path).stat().st_size for path in files) > LARGEST_KEPT:
            return False
        for path in files:
            copy = self._target / "program" / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(directory / path, copy)
        self._is_copied = bool(files)
        return self._is_copied

    def _leave_program(self) -> bool:
        """Have the program be where it is; False: that is a copy of ours, which goes with the runtime."""
        if self._code.archive or self._question.function.copy is not None:
            return False
        shutil.rmtree(self._target / "program", ignore_errors=True)
        self._is_copied = False
        return True

    def _write_script(self) -> None:
        elsewhere = f"project={shlex.quote(self._code.directory)}\nproject=${{PROJECT:-$project}}\n"
        left_out = _LEFT_OUT.format(patterns="|".join(self._patterns)) if self._patterns else ""
        names = " ".join(map(shlex.quote, self._databases))
        more = left_out + (_DATABASES.replace("{names}", names) if names else "")
        starts = self._question.attempts
        doubles = self._run.kinds.isdisjoint(FAILURES)
        script = _SCRIPT.format(
            what="the program" if self._command else "the handler",
            directory="project=$here/program\n" if self._is_copied else elsewhere,
            starts=" ".join(map(str, range(1, starts + 1))),
            number=f"{starts} start{'s' * (starts != 1)}",
            command=self._started(),
            limit=self._limit,
            codes="|".join(map(str, self._codes)),
            more=f"{more.lstrip()}\n" if more else "",
            filtered="" if doubles else " | grep -v '^Only in compared'",
        )
        (self._target / "repro.sh").write_text(script, encoding="utf-8")

    def _started(self) -> str:
        """The command with its variables, for a shell."""
        given = {**self._question.function.configuration.environment, **(self._evidence.began.environment or {})}
        if self._command and self._question.payload is not None:
            given["SCF_CUSTOM_CONTAINER_EVENT"] = json.dumps(self._question.payload)
        own, project = self._evidence.path, self._code.directory
        words = [_quoted(word, RUN_PATH, project) for word in self._command]
        words = words or ["python3", '"$here/call.py"', '"$path"']
        variables = [f"{name}={_quoted(value, own, project)}" for name, value in given.items()]
        return " ".join(["env", *variables, *words] if variables else words)

    # -- its runs ------------------------------------------------------------------------------------------------------

    def _run_in_place(self) -> tuple[list[str], str]:
        """Run it where the program is: the files of its directory that it opens, and its last words in the end."""
        self._write_script()
        with opened_in(self._code.directory) as opened:
            began = REAL.monotonic()
            self._ran("undisturbed")
            self._limit = self._limit_of(REAL.monotonic() - began)
            self._write_script()
            if not self._run.outcome.stuck:
                _, self._printed = self._ran()
        return opened, self._last_words()

    def _last_words(self) -> str:
        """What the program itself has printed last; of addresses, numbers and its directory, which may be others, no
        more than that they are there."""
        places = [os.fspath(self._target / "program"), self._code.directory]
        said = how_it_fails(self._printed, self._question.attempts)
        for place in places:
            said = said.replace(place, "")
        return re.sub(r"0x[0-9a-f]+|\d+", "#", said)

    def _try_undisturbed(self) -> str:
        """Run it undisturbed, for what is to be expected, and once more, for whether that is found again."""
        evidence, target = self._evidence, self._target
        expected, compared, result = (target / name for name in ("expected", "compared", "result"))
        shutil.rmtree(expected, ignore_errors=True)
        expected.mkdir()
        self._write_script()
        _, text = self._ran("undisturbed")
        if not compared.is_dir():
            return f"without a platform its undisturbed run does not end: {_last_line(text, -3)}"
        if wrong := self._differences(result):
            return f"without a platform its undisturbed run leaves something else: {difference_text(wrong[0])}"
        stored = files_and_rows(result, evidence.path)
        self._databases = [name for name, content in stored.files.items() if content.kind == "database"]
        self._patterns = list(dict.fromkeys(self._left_out(stored.files)))
        self._write_script()
        self._ran("undisturbed")  # what is compared is what the script itself makes of it
        if compared.is_dir():
            expected.rmdir()
            compared.rename(expected)
        code, text = self._ran("undisturbed", says_versions=True)
        return f"without a platform it does not leave the same files each time: {_last_line(text, -2)}" if code else ""

    def _try_state(self) -> str:
        """Run it on what the interruption has left, where the same has to be wrong as in the sweep."""
        code, text = self._ran()
        self._printed = text
        wanted = _shown_by(self._run.differences)
        is_done = (self._target / "compared").is_dir()
        if code is None and self._run.outcome.stuck:  # it computes for ever, there as here, and no time passes
            self._is_ended = False
            return ""
        if code == 0:
            return "it does not fail when it is started on the files that are left, so more than the files is involved"
        if any(effect in _NOT_DONE for _, effect, _ in wanted):
            is_same = not is_done
        else:
            is_same = is_done and wanted <= _shown_by(self._differences(self._target / "result"))
        if code != 1 or not is_same:
            return f"started on the files that are left, it fails differently than in the sweep: {_last_line(text)}"
        return ""

    def _limit_of(self, seconds: float) -> int:
        """How many real seconds a start may take, where the undisturbed run takes *seconds* beside what it waits."""
        ended = (each.seconds for each in self._run.outcome.attempts if each.status_code != _TIMED_OUT)
        longest = max(seconds + self._waited, *ended)
        return max(_LEAST, -(-_TIMES * math.ceil(longest) // _LEAST) * _LEAST)

    def _differences(self, result: Path) -> list[Difference]:
        evidence = self._evidence
        found = gathered(result, own_path=os.fspath(self._target / "result"))
        without = replace(evidence.expected, result=None, has_result=False, records=[], observed={}, more={}, tmp=())
        return [each for each in compare(without, found, evidence.ignored) if each.kind is not Kind.LEFT_BEHIND]

    def _left_out(self, files: Mapping[str, object]) -> Iterable[str]:
        """Patterns of a shell for what is not compared."""
        ignored = self._evidence.ignored
        for name in ignored.by_user.names:
            if ":" not in name:
                yield _pattern(name)
        for name in files:
            normal = ignored.file_names.normal(name)
            if normal != name:
                yield _pattern(normal.replace(ANY, "*"))
            elif ignored.has(EffectKind.FILE, name) or (EffectKind.FILE, normal) in ignored.whole:
                yield shlex.quote(name)
            elif normal in ignored.files or any(table.startswith(f"{name}:") for table in ignored.columns):
                yield shlex.quote(name)
                if name in self._databases:
                    yield shlex.quote(f"{name}.sql")

    def _ran(self, *arguments: str, says_versions: bool = False) -> tuple[int | None, str]:
        """Run the script, as a job: its exit code, and what has been printed. This package cannot be imported there.

        A job waits in simulated time, and can change nothing but its own directory. It may say what it has imported.
        """
        question, target = self._evidence.question, os.fspath(self._target)
        command = ["sh", "repro.sh", *arguments]
        made = self._evidence.job_of(command, target)
        hidden = self._target / "hidden"
        hidden.mkdir(exist_ok=True)
        text = "raise ImportError('a repro has nothing of pytest_scf_async')\n"
        (hidden / "pytest_scf_async.py").write_text(text, encoding="utf-8")
        if says_versions:
            have_said(hidden)
        variables = {
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": os.fspath(hidden),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPYCACHEPREFIX": os.fspath(hidden),  # so that it opens its sources
        }
        # What the platform puts elsewhere is not there: at /opt, and at the places of mounts.
        given = question.function.configuration
        mounts = tuple((host, inside) for host, inside in given.mounts if host == inside)
        configuration = replace(given, timeout=LIMIT, environment=variables, layers=(), mounts=mounts)
        version = FunctionVersion(configuration, made.code, question.function.version, made.runtime)
        try:
            seed = f"{question.seed} repro"  # what the interrupted run has drawn may be the name of a file
            with self._evidence.stages(question.start, seed, self._target, False) as stage:
                event = stage.run_of(version, {}).invoke_async(None)
                try:
                    event.wait()
                except CannotEndError as error:
                    return None, str(error).partition("\n")[0]
                look_at(event)
                self._waited = 0.0 if event.duration is None else event.duration.total_seconds()
                if says_versions:
                    self._versions = [*versions_in(hidden)]
                lines = [line.text for line in event.log if line.source == "Custom"]
                return exit_code(event), "\n".join(lines)
        finally:
            shutil.rmtree(hidden)

    # -- what it says --------------------------------------------------------------------------------------------------

    def _issue(self) -> str:
        code = self._code
        function = f"The function `{code.function}` of {code.module}, called with what is in `call.json`,"
        project = f"The program is started in `{code.directory}`; elsewhere: `PROJECT=/its/directory sh repro.sh`."
        if self._is_copied:
            named = shortened_list([*map(os.fspath, self._files)], _FILES)
            project = f"The program is in `program/`: {named}."
        issue = Issue(
            self._run,
            what="The program" if self._command else function,
            command=self._started()
            .replace('"$path"', "DIRECTORY")
            .replace('"$here/call.py"', "call.py")
            .replace('"$project"/', ""),
            starts=self._question.attempts,
            codes=self._codes if self._command else (),
            failing=how_it_fails(self._printed, self._question.attempts),
            project=project + " Its layers are in `layers/`." * bool(self._layers),
            patterns=self._patterns,
            limit=self._limit,
            is_ended=self._is_ended,
            versions=[*self._versions, f"{platform.system()} {platform.release()}, {platform.machine()}"],
        )
        return issue.text()


def _quoted(text: str, path: str, project: str) -> str:
    """*text* as one word of a shell, with the variables in the places of *path* and of the *project*."""
    if not text:
        return "''"
    variables = {path: '"$path"', project: '"$project"'}
    patterns = [re.escape(path)] * bool(path) + [rf"{re.escape(project)}(?![^/:])"]
    parts = re.split(f"({'|'.join(patterns)})", text)
    return "".join(variables.get(part) or shlex.quote(part) for part in parts if part)


def _pattern(name: str) -> str:
    """A pattern as ``case`` of a shell has it."""
    return re.sub(r"[^\w./*?\[\]-]", lambda found: f"\\{found[0]}", name)


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    copy_tree(source, target)


def _last_line(text: str, at: int = -1) -> str:
    lines = text.strip().splitlines() or [""]
    return lines[max(at, -len(lines))].strip()
