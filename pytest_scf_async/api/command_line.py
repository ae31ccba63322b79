"""The command line: ``serve``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..errors import ScfAsyncError
from .serve import Serving, add_serve

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """What the process ends with: 0, 1 where something failed, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_scf_async", description="Tencent Cloud SCF's API, emulated on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_serve(commands)
    given = parser.parse_args(arguments)
    try:
        return Serving(given).run()
    except ScfAsyncError as error:
        sys.stderr.write(f"{parser.prog} {given.command}: {error}\n")
        return 1
