"""Prints the table: what, ours, floor, ratio, goal."""

from __future__ import annotations

import argparse
import os
import platform

from . import endpoint, instances, programs, runtimes, start, suite, sweeps, trace, waits
from .measure import Result, measure


def duration(seconds: float) -> str:
    """Three figures and a unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def comparison(result: Result) -> str:
    if result.floor is None or result.ratio is None:
        return ""
    if result.row.unit == "more" and result.more is not None:
        return f"{result.more * 1e3:+.1f} ± {result.spread * 1e3:.1f} ms"
    if result.row.unit == "ratio" and result.row.most is not None and result.row.most < 1:
        return f"{1 / result.ratio:.1f} × faster"
    return f"{result.ratio:.2f} ± {result.spread:.2f} ×" if result.row.unit == "ratio" else f"{result.ratio:.2f} ×"


def main() -> None:
    root = os.geteuid() == 0
    rows = [*instances.rows(root), *waits.rows(), *trace.rows(), *runtimes.rows(), *programs.rows()]
    rows += endpoint.rows()
    rows += [*start.rows(), *suite.rows(), *sweeps.rows()]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds: figures to look at, not to quote")
    parser.add_argument(
        "--row", action="append", choices=[row.name for row in rows], help="this row only (may be given again)"
    )
    options = parser.parse_args()

    who = "root" if root else "not root"
    cores = len(os.sched_getaffinity(0))
    print(f"Python {platform.python_version()}, Linux {platform.release()}, {cores} cores, {who}; medians")
    form = "{:<66} {:>9} {:>9} {:>17}   {:<15} {:<8} {:>6}"
    print(form.format("what / its floor", "ours", "floor", "ratio", "goal", "", "rounds"))
    for row in rows:
        if options.row and row.name not in options.row:
            continue
        result = measure(row, options.quick)
        floor = "" if result.floor is None else duration(result.floor)
        verdict = {True: "reached", False: "missed", None: ""}[result.reached]
        print(
            form.format(row.what, duration(result.ours), floor, comparison(result), row.goal, verdict, result.rounds),
            flush=True,
        )
    for what in runtimes.missing():
        print(f"not measured: {what}")


if __name__ == "__main__":
    main()
