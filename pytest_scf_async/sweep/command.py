"""``python -m pytest_scf_async sweep``: what a handler, or a program, loses when it is interrupted, without a test.

It prints the verdict, the first class and a test that fails in the same way. Exit code: 0 if nothing was lost, 1 if
something was, unless --apply has written a repair, 2 if the command line is wrong or the handler cannot be swept; 130
after Ctrl-C and 143 after SIGTERM, which print what is known by then.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, cast

from ..errors import ScfUsageError
from ..function import Function
from ..instances.runtimes.strategy import RUN_PATH
from ..model.configuration import JOB_PORT
from ..options import ScfSettings
from ..runtime import ScfRuntime
from .data import swept_json
from .differences import Kind
from .findings import FAILURES, HARMFUL, STOPPED, FailureClass, Swept, classes
from .guide import Guide, nothing
from .interruptions import FAULTS, FILE_SYSTEMS, KINDS, Failure, Interruption, fault, graceful, power
from .points import WHICH
from .progress import Progress
from .repairs.found import BUDGET, Repairs
from .repairs.sources import write
from .report import (
    CLASSES,
    class_text,
    failure_text,
    head_text,
    mutants_lines,
    not_reached_lines,
    sweep_text,
    tried_text,
)
from .repro import with_repros
from .run import Run

_NOTHING: Final = f"nothing of what it writes is compared: name the directory of a run, {RUN_PATH}"
_DEFAULTS: Final = {
    "within": None,
    "points": "lines",
    "include": None,
    "exclude": None,
    "limit": 1000,
    "done": None,
    "ignore": None,
    "mutate": False,
    "compares_nothing": False,
    "workers": None,
}
"""What the keywords of a sweep are where the command line does not say otherwise."""
_WIDTH: Final = 88
"""Characters of a line of the test: what formatters of Python take for the longest."""
_ENDED_BY: Final = 128
"""With the number of a signal: the exit code of a program that the signal has ended, as a shell has it."""


def add_sweep(commands: Any) -> None:
    """Add the command to argparse's *commands*."""
    parser = commands.add_parser(
        "sweep",
        usage="%(prog)s [options] (FILE:HANDLER | -- PROGRAM [ARGUMENT ...])",
        help="interrupt a handler or a program at every point, and report what it loses",
        description="Run a handler or a program undisturbed, then interrupt it at each of its points, start it again "
        "until it is done, and compare what it leaves. Prints the verdict, the first class of findings and a test that "
        "fails in the same way.",
        epilog="Exit code: 0 if nothing was lost, or --apply has written a repair, 1 if something was lost, 2 if "
        "nothing could be tried. After Ctrl-C (130) and SIGTERM (143) it reports what is known by then.",
    )

    def several(name: str, metavar: str, what: str, **more: Any) -> None:
        """An option that may be there several times."""
        parser.add_argument(name, action="append", metavar=metavar, help=what, **more)

    parser.add_argument(
        "code",
        nargs="?",
        metavar="FILE:HANDLER",
        help="for example handlers/export.py:main_handler; or, at the end and after --, any program with its "
        f"arguments, in which {RUN_PATH} stands for the directory of a run: -- python train.py --out {RUN_PATH}. A "
        "program is done when it exits with 0",
    )
    parser.add_argument(
        "--payload", metavar="JSON", default="null", help="the data of the event, as JSON (default: null)"
    )
    several(
        "--how",
        "HOW",
        f"{', '.join(KINDS)}, and graceful,again=5 (a second SIGTERM 5 simulated seconds later) or "
        "graceful,forced=5 (a kill then); fault,enospc, fault,eio and fault,reset, each also with ,lasting; "
        "power,posix, power,ext4 and power,nfs; several times for several (default: graceful and forced)",
    )
    parser.add_argument(
        "--grace",
        type=float,
        metavar="SECONDS",
        help="kill it so many simulated seconds after the SIGTERM of a graceful stop, as Kubernetes "
        "(terminationGracePeriodSeconds) and systemd (TimeoutStopSec) do",
    )
    parser.add_argument(
        "--within", type=float, metavar="SECONDS", help="report graceful stops that take longer as late"
    )
    parser.add_argument("--points", choices=WHICH, default="lines", help="where to interrupt it (default: lines)")
    several("--include", "PATTERN", "try only points of these files or lines")
    several("--exclude", "PATTERN", "try no points of these files or lines")
    parser.add_argument(
        "--limit", type=int, default=1000, help="how many runs and resumes to make at most (default: 1000)"
    )
    several(
        "--ignore",
        "PATTERN",
        "do not compare these files (*.log), records, tables (orders.db:orders) or columns "
        "(orders.db:orders.created_at); several times for several",
    )
    parser.add_argument(
        "--done-code",
        dest="done",
        action="append",
        type=int,
        metavar="CODE",
        help="the exit code by which a program says that its work is done; several times for several (default: 0)",
    )
    parser.add_argument(
        "--mutate",
        action="store_true",
        help="break the handler's own shutdown code in several ways, and report which breaks the sweep notices",
    )
    parser.add_argument(
        "--compares-nothing",
        action="store_true",
        help="the handler only reads: look for events that never finish or are late, and for other results",
    )
    several(
        "--env",
        "NAME=VALUE",
        f"a variable of the handler or program; {RUN_PATH} in it is the directory of a run, whose files are "
        f"compared (default for a handler: OUT={RUN_PATH})",
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="DIRECTORY",
        help=f"copy what is in this directory into {RUN_PATH} before each run: the files with which the work begins",
    )
    several(
        "--layer",
        "PATH",
        "a directory or a zip that a handler finds at /opt, as layers= of deploy; several times for several",
    )
    parser.add_argument(
        "--traced",
        action="store_true",
        help="trace a Python program like a program in another language, without its lines; what it starts is then on "
        "simulated time, too",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="how many processes make the runs (default: one per core if the runs take more than about 10 s)",
    )
    several(
        "--preload",
        "MODULE",
        "an installed module to import once instead of in each run; several with commas, or several times",
    )
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="the timeout of the function, in simulated seconds"
    )
    parser.add_argument("--exactly-once", action="store_true", help="fail as well if something is done twice")
    parser.add_argument("--report", action="store_true", help="print the whole report")
    parser.add_argument("--replay", metavar="KEY", default="", help="make only the run with this key")
    parser.add_argument("--json", metavar="FILE", help="write all facts to this file, as JSON")
    parser.add_argument(
        "--repro",
        metavar="DIRECTORY",
        help="for each class of findings write a directory there: what the interruption left, a script that starts the "
        "program on it without this package and fails, and a description",
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="search for a change of the code that survives the whole sweep, and print it; the files stay as they are",
    )
    parser.add_argument("--apply", action="store_true", help="with --fix: write the first change that is found")
    parser.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        help=f"with --fix: search for so many real seconds at most (default: {BUDGET:g})",
    )


def run_sweep(given: argparse.Namespace) -> int:
    """Make the sweep; what the process ends with."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return _Command(given).run()
    except ScfUsageError as error:
        sys.stderr.write(f"python -m pytest_scf_async: {error}\n")
        return 2


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning is a sentence, whatever line of ours has given it."""
    sys.stderr.write(f"python -m pytest_scf_async: {message}\n")


class _Command:
    """One run of the command."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._job: list[str] = list(given.program)
        if bool(self._job) == bool(given.code):
            raise ScfUsageError(
                "sweep: it takes either a handler, as in handlers/export.py:main_handler, or a program behind --, as "
                f"in -- python train.py --out {RUN_PATH}"
            )
        if self._job and given.layer:
            raise ScfUsageError(f"sweep: --layer {given.layer[0]} is for a handler: a program has no layers")
        self._in_process = False
        """The instance itself runs the program."""
        self._payload = _json_of(given.payload)
        self._how = [_interruption(text) for text in given.how or ("graceful", "forced")]
        if given.grace is not None:
            stop = graceful(then="forced", after=given.grace)
            self._how = [stop if how == Interruption("graceful") else how for how in self._how]
        default = () if self._job else (f"OUT={RUN_PATH}",)
        self._environment = dict(_variable(text) for text in given.env or default)
        if self._job and not any(RUN_PATH in text for text in (*self._job, *(given.env or ()))):
            raise ScfUsageError(
                f"sweep: {_NOTHING} in an argument (--out {RUN_PATH}) or a variable (--env OUT={RUN_PATH})"
            )
        if given.start is not None and not Path(given.start).is_dir():
            raise ScfUsageError(f"--from {given.start}: there is no directory {Path(given.start).absolute()}")
        self._kinds = HARMFUL if given.exactly_once else FAILURES
        self._found: list[Swept] = []
        self._repros: dict[str, str] = {}
        """The scripts that were written, by the keys of their classes."""
        self._about_repros: list[str] = []
        """Those that no class shows, and why there are no others."""
        self._repairs: Repairs | None = None
        """What --fix has found, ..."""
        self._applied: list[str] = []
        """... and the files to which --apply has written it."""
        self._signal = signal.SIGINT
        """What has ended it, where something has."""
        for option in ("apply", "budget"):
            if getattr(given, option) not in (None, False) and not given.fix:
                raise ScfUsageError(f"--{option} goes with --fix, which searches for a repair")
        if given.fix and given.replay:
            raise ScfUsageError(
                f"--fix makes the whole sweep, and --replay {given.replay} one run: leave one of them out"
            )
        if given.json is not None and not Path(given.json).absolute().parent.is_dir():
            raise ScfUsageError(f"--json {given.json}: there is no directory {Path(given.json).absolute().parent}")

    def run(self) -> int:
        with self._ended_by_sigterm():
            try:
                self._sweep()
            except KeyboardInterrupt:
                if not self._found:
                    sys.stderr.write(f"python -m pytest_scf_async: nothing is known yet, because {STOPPED}\n")
                for swept in self._found:
                    self._write(swept)
                    _say(sweep_text(swept))
                if self._repairs is not None:
                    _say(f"\n{self._repairs.report}")
                return _ENDED_BY + self._signal
        (swept,) = self._found
        self._write(swept)
        code = self._print(swept)
        return code if self._repairs is None else self._print_repairs(self._repairs, code)

    @contextmanager
    def _ended_by_sigterm(self) -> Iterator[None]:
        """SIGTERM raises ``KeyboardInterrupt``, as Ctrl-C does: a sweep then ends with what is known."""

        def end(*_: object) -> None:
            self._signal = signal.SIGTERM
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGTERM, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _sweep(self) -> None:
        given = self._given
        progress = Progress(_Line().show if sys.stderr.isatty() else nothing)

        def finished(swept: Swept) -> None:
            self._found.append(swept)
            progress.end()

        def repaired(repairs: Repairs) -> None:
            self._repairs = repairs
            progress.end()

        def guide() -> Guide:
            return Guide(
                replay=given.replay,
                begins=progress.begin,
                progress=progress.come_to,
                finished=finished,
                tries=progress.begin,
                repaired=repaired,
                sets=_sets,
            )

        settings = ScfSettings(preload=tuple(name for names in given.preload or () for name in names.split(",")))
        with ScfRuntime(settings, seed="sweep", lookup=[Path.cwd()], root=Path.cwd(), sweep_guide=guide) as runtime:
            sweep = runtime.sweep(
                self._deployed(runtime),
                self._payload,
                each_run=self._each_run,
                how=self._how,
                **{keyword: getattr(given, keyword) for keyword in _DEFAULTS},
            )
            if given.repro is not None:
                self._write_repros(with_repros(self._found[0], classes(self._found[0].runs, self._kinds)))
            if given.fix:
                budget = BUDGET if given.budget is None else given.budget
                self._repairs = sweep.repairs(budget=budget, exactly_once=given.exactly_once)

    def _write_repros(self, found: Sequence[FailureClass]) -> None:
        """Write a repro of each class, in the order of the report; what was written, or why it was not, is printed."""
        for number, alike in enumerate(found, 1):
            kind = min(alike.kinds & self._kinds, key=[*Kind].index).value
            name = re.sub(r"\W+", "-", f"{number}-{kind}-{alike.earliest.key}").strip("-")
            try:
                script = f"{alike.write_repro(Path(self._given.repro, name))}/repro.sh"
            except ScfUsageError as error:
                self._about_repros.append(str(error))
                continue
            self._repros[alike.earliest.key] = script
            if number > (CLASSES if self._given.report or self._given.replay else 1):
                self._about_repros.append(f"Without this plugin, {alike.earliest.key}:  sh {script}")

    def _deployed(self, runtime: Any) -> Function:
        """Deploy what is swept; *runtime* has the calls for jobs from another wing."""
        timeout = self._given.timeout
        if not self._job:
            handler: Function = runtime.deploy(self._given.code, timeout=timeout, layers=self._given.layer or ())
            return handler
        self._in_process = not self._given.traced and runtime._may_be_in_process(self._job, os.getcwd(), "sweep")
        job: Function = runtime.deploy_image(self._job, port=JOB_PORT, timeout=timeout, in_process=self._in_process)
        return job

    def _each_run(self, run: Run) -> Generator[Mapping[str, str], None, None]:
        if self._given.start is not None:
            shutil.copytree(self._given.start, run.path, symlinks=True, dirs_exist_ok=True)
        yield {name: value.replace(RUN_PATH, str(run.path)) for name, value in self._environment.items()}

    def _write(self, swept: Swept) -> None:
        if self._given.json is None:
            return
        try:
            fix = None if self._repairs is None else self._repairs.facts(self._applied)
            Path(self._given.json).write_text(swept_json(swept, fix), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ScfUsageError(f"--json {self._given.json} cannot be written: {error.strerror or error}") from None

    def _print(self, swept: Swept) -> int:
        failure = failure_text(swept, self._kinds)
        found = classes(swept.runs, self._kinds)
        whole = self._given.report or self._given.replay
        if whole:
            _say(sweep_text(swept, command=True, repros=self._repros))
        elif found:
            _say("\n".join([head_text(swept, found), *not_reached_lines(swept)]))
            _say(f"\n{class_text(swept, found[0], command=True, repro=self._repros.get(found[0].earliest.key, ''))}")
            _say(f"\nThe whole report: --report{'; a repair: --fix' * bool(swept.repairs and not self._given.fix)}")
        else:
            _say(failure or "\n".join([head_text(swept, found), *not_reached_lines(swept), tried_text(swept)]))
        if self._given.mutate and not whole:
            _say("\n".join(mutants_lines(swept)))
        twice = sum(Kind.DOUBLED in run.kinds for run in swept.runs)
        if twice and not failure:
            _say(f"Work is done twice after {twice:,} of them, which passes by default: --exactly-once reports it")
        for line in self._about_repros:
            _say(line)
        if found:
            _say(f"\nThis test fails in the same way:\n\n{self._test(swept.function)}")
        return 1 if failure else 0

    def _print_repairs(self, repairs: Repairs, code: int) -> int:
        """Print what --fix has found, and write it where that is asked for; the exit code."""
        _say(f"\n{repairs.report}")
        if not repairs.found:
            return code
        first = repairs.found[0]
        if not self._given.apply:
            _say("To write it: the same command with --apply")
            return code
        for source, text in first.files.values():
            write(source, text)
            self._applied.append(os.fspath(source.path))
            _say(f"Written: {source.path}")
        self._write(self._found[0])
        return 0

    def _test(self, name: str) -> str:
        """A test that makes the same sweep."""
        given = self._given
        hows = [_how_source(how) for how in self._how] if given.how or given.grace is not None else []
        arguments = ["function", *([] if self._payload is None else [_source(self._payload)]), "each_run=each_run"]
        if hows:
            several = ", ".join(hows)
            arguments.append(f"how={several}" if len(hows) == 1 else f"how=({several})")
        for keyword, default in _DEFAULTS.items():
            value = getattr(given, keyword)
            if value != default:
                arguments.append(f"{keyword}={_source(value)}")
        deployed = [_source(self._job), f"port={JOB_PORT}"] if self._job else [_source(given.code)]
        deployed += ["in_process=True"] if self._in_process else []
        deployed += [f"layers={_source(given.layer)}"] if given.layer else []
        deployed += [] if given.timeout is None else [f"timeout={given.timeout:g}"]
        variables = ", ".join(f"{_source(name)}: {_value_source(value)}" for name, value in self._environment.items())
        called = sorted({how.partition("(")[0] for how in hows if "(" in how})
        imports = ["import shutil", ""] if given.start is not None else []
        imports += [f"from pytest_scf_async import {', '.join(called)}", ""] if called else []
        copies = f"shutil.copytree({_source(given.start)}, run.path, symlinks=True, dirs_exist_ok=True)"
        lines = [
            *([*imports, ""] if imports else []),
            f"def test_{re.sub(r'[^0-9a-zA-Z_]', '_', name)}_is_interrupted_anywhere(scf_runtime):",
            *_call_source(f"    function = scf_runtime.{'deploy_image' if self._job else 'deploy'}", deployed),
            "",
            "    def each_run(run):",
            *([f"        {copies}"] if given.start is not None else []),
            f"        yield {{{variables}}}",
            "",
            *_call_source("    sweep = scf_runtime.sweep", arguments),
            f"    sweep.assert_{'exactly_once' if given.exactly_once else 'survives'}()",
        ]
        return "\n".join(lines)


def _sets(name: str) -> str:
    return f"set --env {name}={RUN_PATH}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _json_of(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ScfUsageError(
            f"--payload {text!r} is not valid: it must be JSON, as in '{{\"rows\": 20}}' ({error})"
        ) from None


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise ScfUsageError(f"--env {text!r} is not valid: it must be NAME=VALUE, as in OUT={RUN_PATH}")
    return name, value


_HOW: Final = re.compile(
    r"graceful(?:,again=(?P<again>\d+(?:\.\d+)?))?(?:,forced=(?P<forced>\d+(?:\.\d+)?))?", re.ASCII
)


_FAULTS: Final = "|".join(FAULTS)
_SYSTEMS: Final = "|".join(FILE_SYSTEMS)
_FAULT: Final = re.compile(rf"fault,(?P<failure>{_FAULTS})(?P<lasting>,lasting)?")


def _interruption(text: str) -> Interruption:
    """What ``--how`` names, in the words of keys: ``graceful,again=5``."""
    for kind in KINDS:
        if text == kind:
            return Interruption(kind)
    for each in FILE_SYSTEMS:
        if text == power(each).name:
            return power(each)
    failing = _FAULT.fullmatch(text)
    if failing is not None:
        return fault(cast("Failure", failing["failure"]), lasting=failing["lasting"] is not None)
    found = _HOW.fullmatch(text)
    if found is None:
        valid = (
            f"{', '.join(KINDS)}, graceful,again=SECONDS, graceful,forced=SECONDS, fault,{_FAULTS}, or power,{_SYSTEMS}"
        )
        raise ScfUsageError(f"--how {text!r} is not valid: it must be {valid}")
    again, forced = (None if value is None else float(value) for value in found.group("again", "forced"))
    then: Literal["forced"] | None = None if forced is None else "forced"
    return graceful(again=again, then=then, after=forced)


def _source(value: Any) -> str:
    """*value*, of what JSON can have, as Python has it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_source(name)}: {_source(each)}' for name, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_source, value))}]"
    return repr(value)


def _call_source(call: str, arguments: Sequence[str]) -> list[str]:
    line = f"{call}({', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{call}(", *(f"        {argument}," for argument in arguments), "    )"]


def _how_source(how: Interruption) -> str:
    if how.failure is not None:
        return f"fault({_source(how.failure)}{', lasting=True' * how.lasting})"
    if how.file_system is not None:
        return f"power({_source(how.file_system)})"
    if how.again_us is None and how.forced_us is None:
        return _source(how.kind)
    again = [] if how.again_us is None else [f"again={how.again_us / 1e6:g}"]
    forced = [] if how.forced_us is None else ['then="forced"', f"after={how.forced_us / 1e6:g}"]
    return f"graceful({', '.join([*again, *forced])})"


def _value_source(value: str) -> str:
    """*value* as Python has it, with the path of the run in it."""
    if value == RUN_PATH:
        return "str(run.path)"
    if RUN_PATH not in value:
        return _source(value)
    parts = [part.replace("{", "{{").replace("}", "}}") for part in value.split(RUN_PATH)]
    return "f" + _source("{run.path}".join(parts))


class _Line:
    """A line of the terminal at stderr that is written anew."""

    def __init__(self) -> None:
        self._length = 0

    def show(self, text: str) -> None:
        blank = " " * (self._length - len(text))
        sys.stderr.write(f"\r{text}{blank}" if text else f"\r{blank}\r")
        sys.stderr.flush()
        self._length = len(text)
