"""The command line: the commands of wings."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from collections.abc import Sequence

from .errors import ScfAsyncError
from .wings.commands import COMMANDS


def main(arguments: Sequence[str]) -> int:
    """What the process ends with: 0, 1 where something failed, 2 for a wrong command line; 141 where nobody reads the
    output to its end, as a shell has it for a program that SIGPIPE has ended."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_scf_async", description="Tencent Cloud SCF, emulated on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    arguments, program = _split_at_program(arguments)
    given = parser.parse_args(arguments, argparse.Namespace(program=program))
    try:
        code = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _is_unread():
            raise
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())  # else the interpreter meets the error again when it ends
        return 128 + signal.SIGPIPE
    except ScfAsyncError as error:
        sys.stderr.write(f"{parser.prog} {given.command}: {error}\n")
        return 1
    return code


def _is_unread() -> bool:
    """Whether nobody can read the output any more, as in ``sweep … | head``."""
    poller = select.poll()
    poller.register(sys.stdout.fileno(), 0)  # errors are reported all the same
    return bool(poller.poll(0))


def _split_at_program(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """*arguments* of the command line, and the program with its own that a command is given behind ``--``."""
    if "--" not in arguments:
        return arguments, ()
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _run(given: argparse.Namespace) -> int:
    (command,) = (command for command in COMMANDS if command.name == given.command)
    return command.run(given)
