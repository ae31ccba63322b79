"""``python -m pytest_scf_async conformance``: its arguments and phases."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import ScfUsageError, did_you_mean
from .account import EndpointClock, Pace, RealTime, Undecided, address_of, connect
from .bench import BEGIN_SECONDS, Bench
from .cases import CASES, Case
from .report import FORMATS
from .runner import Plan, ask, check, report_of
from .state import State, new_state, read_state


@dataclass(frozen=True)
class _Phase:
    """What a phase does."""

    text: str
    asks: bool = False
    takes_days: bool = False
    """Whether it begins those cases, too, that are decided days later."""
    checks: bool = False
    deletes: bool = False


PHASES: Final = {
    "run": _Phase("asks what takes minutes, deletes everything, reports", asks=True, deletes=True),
    "launch": _Phase("the same, and begins what takes 72 hours; deletes nothing", asks=True, takes_days=True),
    "check": _Phase("asks what is due by then, and reports", checks=True),
    "cleanup": _Phase("deletes what the state file names, also after an abort", deletes=True),
}


def add_conformance(commands: Any) -> None:
    """Add the command to argparse's *commands*."""
    parser = commands.add_parser(
        "conformance",
        help="ask an SCF endpoint what the documents leave open",
        description="Ask an SCF endpoint, the platform's own or another one, what the documents leave open, and say "
        "which reading holds. It creates functions and deletes them. The account is that of TENCENTCLOUD_SECRET_ID, "
        "TENCENTCLOUD_SECRET_KEY (and TENCENTCLOUD_TOKEN) and TENCENTCLOUD_REGION, the host that of SCF_ENDPOINT (the "
        "official one by default). The exit code is 1 if a case could not be decided.",
    )
    parser.add_argument(
        "phase",
        nargs="?",
        choices=tuple(PHASES),
        default="run",
        help="; ".join(f"{name}: {phase.text}" for name, phase in PHASES.items()) + " (default: run)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be created and its cost, and do nothing"
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=Path("scf-conformance.json"),
        metavar="FILE",
        help="file that keeps what was created and found (default: scf-conformance.json)",
    )
    parser.add_argument(
        "--case", action="append", default=[], metavar="ID", help="ask only this case; may be given several times"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="format of the report (default: text)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="file for the report (default: standard output)")
    parser.add_argument(
        "--begin",
        type=float,
        default=BEGIN_SECONDS,
        metavar="SECONDS",
        help="seconds that an event has to start, its cold start included, before it is terminated "
        f"(default: {BEGIN_SECONDS:g})",
    )
    parser.add_argument(
        "--cls-topic",
        nargs=2,
        default=(),
        metavar=("LOGSET_ID", "TOPIC_ID"),
        help="log topic of the functions; without it the platform makes a topic of its own, and CLS bills it by itself",
    )
    parser.add_argument(
        "--ckafka-function",
        metavar="NAME",
        default="",
        help="sync function of the namespace default that a trigger of CKafka, and nothing else, invokes, and that has "
        "failed within the last day: the case trigger-ckafka reads its logs",
    )
    parser.add_argument(
        "--clock",
        metavar="URL",
        help="clock of an endpoint on simulated time, such as http://127.0.0.1:40001/_scf/clock: it is advanced, and "
        "nothing waits",
    )


def run_conformance(given: argparse.Namespace) -> int:
    """Do what the command line says; what the process ends with."""
    chosen = _chosen(given.case)
    phase = PHASES[given.phase]
    askable = [case for case in chosen if given.ckafka_function or not case.of_user]
    asked = [case for case in askable if phase.takes_days or not case.later] if phase.asks else []
    if given.dry_run and not phase.asks:
        state = read_state(given.state)
        names = [f"{namespace}/{name}" for name, namespace in state.functions] + state.namespaces
        sys.stdout.write("".join(f"deletes: {name}\n" for name in names if phase.deletes))
        return 0
    if given.dry_run:
        sys.stdout.write(Plan(asked, given.cls_topic).text(address_of(os.environ), "scf-conf-XXXXXXXX"))
        return 0
    bench = _bench(given, phase.asks)
    if phase.asks:
        _note(Plan(asked, given.cls_topic).text(bench.address, bench.state.prefix).rstrip())
    left = 0
    try:
        ask(bench, asked, _note)
        if phase.checks:
            check(bench, chosen, _note)
    finally:
        if phase.deletes:
            left = _clean(bench)
    return (_report(given, bench.state, chosen) if phase.asks or phase.checks else 0) or left


def _bench(given: argparse.Namespace, begins: bool) -> Bench:
    """The account, and the state of a run that begins, or that of the file."""
    pace: Pace = EndpointClock(given.clock) if given.clock else RealTime()
    account = connect(pace)
    try:
        begun = f"{pace.now():%Y-%m-%d %H:%M} UTC"
    except Undecided as error:
        raise ScfUsageError(f"--clock: {error}") from None
    state = new_state(given.state, account.address, begun) if begins else read_state(given.state)
    state.check_address(account.address)
    return Bench(account, state, given.begin, _note, given.cls_topic, ckafka_function=given.ckafka_function)


def _chosen(ids: Sequence[str]) -> list[Case]:
    known = {case.id: case for case in CASES}
    for id_ in ids:
        if id_ not in known:
            raise ScfUsageError(f"--case {id_} is not a case{did_you_mean(id_, known)}; {', '.join(known)}")
    return [case for case in CASES if not ids or case.id in ids]


def _clean(bench: Bench) -> int:
    """Delete what is there; 1 where something stays, and the state file with it."""
    bench.end_events()
    bench.delete_all()
    if bench.state.clean:
        bench.state.path.unlink(missing_ok=True)
        return 0
    _note(f"something is still there: conformance cleanup --state {bench.state.path}")
    return 1


def _report(given: argparse.Namespace, state: State, cases: Sequence[Case]) -> int:
    report = report_of(state, cases)
    text = FORMATS[given.format](report)
    if given.output is None:
        sys.stdout.write(text)
    else:
        try:
            given.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ScfUsageError(f"--output {given.output} cannot be written: {error.strerror or error}") from None
    return report.exit_code


def _note(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
