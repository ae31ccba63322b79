"""``python -m pytest_scf_async check PATH``: what is wrong with code before it is deployed."""

from __future__ import annotations

import argparse
import sys

from ..errors import ScfUsageError


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command line of ``check``."""
    parser = commands.add_parser(
        "check",
        help="say what is wrong with a function's code before it is deployed",
        description="Say what is wrong with a function's code before it is deployed: its handler, layout, sizes, "
        "variables, imports, compiled modules and timeout; of Node.js, Go and custom runtimes all but imports. Nothing "
        "of it is run. The exit code is 1 if anything is found.",
    )
    parser.add_argument("path", metavar="PATH", help="a directory, a zip, or path/to/file.py:main_handler")
    parser.add_argument("--config", metavar="FILE", help="what says the rest (default: serverless.yml, template.yaml)")
    parser.add_argument("--handler", help="(default: index.main_handler)")
    parser.add_argument("--runtime", help="(default: Python3.10)")
    parser.add_argument("--layer", action="append", default=[], metavar="PATH", help="a directory or zip; repeatable")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a variable; repeatable")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="how long an event may take")
    parser.add_argument("--async", action="store_true", default=None, dest="async_run", help="the function is async")
    parser.add_argument("--by-cos", action="store_true", help="a zip is uploaded to COS, and may have more than 50 MB")


def run_check(given: argparse.Namespace) -> int:
    """Print each finding; 1 where there is one."""
    from .check import assert_deployable  # noqa: PLC0415  (other commands need none of it)

    if wrong := [each for each in given.env if "=" not in each]:
        raise ScfUsageError(f"--env {wrong[0]} is not valid: it must be NAME=VALUE")
    names = ("config", "handler", "runtime", "timeout", "async_run", "by_cos")
    keywords = {name: getattr(given, name) for name in names}
    environment = dict(each.split("=", 1) for each in given.env)
    try:
        assert_deployable(given.path, layers=given.layer, environment=environment, **keywords)
    except AssertionError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{given.path}: nothing is known that keeps it from being deployed\n")
    return 0
