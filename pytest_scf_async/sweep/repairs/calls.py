"""How somebody who reads a report has repairs searched for: by a command, where that says the same as the test."""

from __future__ import annotations

import ast
import inspect
import json
import os
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...deployment import first_configuration
from ...instances.runtimes.strategy import RUN_PATH
from ...model.configuration import FunctionConfiguration
from ...options import ScfSettings
from ..findings import FAILURES, HARMFUL, Swept
from ..request import Bench, Request
from ..run import EachRun
from .trying import why_none

_SAID = ("timeout", "layers", "environment")
"""What of a function's configuration the command says."""
_IDLE = ("description", "namespace", "trace", "max_instances", "over_quota")
"""What of it means nothing to a sweep."""
_DEFAULT_HOWS = ["graceful", "forced"]


def repair_calls(request: Request, bench: Bench, swept: Swept, path: str) -> tuple[str, ...]:
    """The command, or the call, that searches for repairs, and the one for who wants nothing to be done twice, either.

    There is none where no change can be tried. *path* is the directory of each run.
    """
    kinds = FAILURES if any(run.fails() for run in swept.runs) else HARMFUL
    if why_none(request, bench.guide, swept, kinds):
        return ()
    words = _words(request, swept, bench.guide.directory or os.getcwd(), path)
    if words is None:
        return "sweep.repairs()", "sweep.repairs(exactly_once=True)"
    command = "python -m pytest_scf_async sweep --fix"
    return " ".join([command, *words]), " ".join([command, "--exactly-once", *words])


def _words(request: Request, swept: Swept, directory: str, path: str) -> list[str] | None:
    """The words behind ``--fix``, as a shell has them, where the command is called in *directory*; None: no command
    makes the same sweep."""
    question, function = request.question, request.function
    configuration, began = function.configuration, swept.undisturbed.began
    assert began is not None
    own = question.check, question.done, question.retry, request.ignored.functions, swept.compared.observed
    plain = _plain(configuration)
    by_default = [name for name, source in configuration.sources.items() if source == "default"]
    same = {name: getattr(plain, name) for name in (*_SAID, *_IDLE, *by_default)}
    is_plain = replace(configuration, **same) == plain and question.attempts == 5 and not any(own)
    if not is_plain or not _only_yields(question.each_run):
        return None
    environment = {**configuration.environment, **(began.environment or {})}
    code = function.code_to_run()
    words = [*_options(request)]
    if configuration.timeout != plain.timeout:
        words += ["--timeout", str(configuration.timeout)]
    for layer in configuration.layers:
        words += ["--layer", _shown(layer, directory)]
    command = function.runtime.bare_command
    if function.runtime.is_job:
        if command is None or os.path.realpath(code.directory) != os.path.realpath(directory):
            return None
        return [*map(shlex.quote, words), *_variables(environment, path), "--", *map(shlex.quote, command)]
    if not environment or os.path.dirname(code.entry) != code.directory:
        return None
    variables = [] if environment == {"OUT": path} else [*_variables(environment, path)]
    return [*map(shlex.quote, words), *variables, shlex.quote(f"{_shown(code.entry, directory)}:{code.function}")]


def _plain(configuration: FunctionConfiguration) -> FunctionConfiguration:
    """The configuration of a function of that name of which nothing more is said."""
    given = {name: getattr(configuration, name) for name in ("handler", "name", "runtime")}
    return first_configuration(ScfSettings(), given, "sweep")


def _options(request: Request) -> Iterator[str]:
    question, choice = request.question, request.choice
    if question.payload is not None:
        yield from ("--payload", json.dumps(question.payload, ensure_ascii=False))
    names = [how.name for how in request.hows]
    several = [("--how", name) for name in names if names != _DEFAULT_HOWS]
    several += [("--include", each) for each in choice.include] + [("--exclude", each) for each in choice.exclude]
    several += [("--ignore", each) for each in request.ignored.names]
    several += [("--done-code", str(code)) for code in question.done_codes]
    several += [("--within", f"{request.within_us / 1e6:g}")] if request.within_us is not None else []
    several += [("--points", choice.which)] if choice.which != "lines" else []
    several += [("--limit", str(choice.limit))] if choice.limit != 1000 else []
    for option in several:
        yield from option
    if request.compares_nothing:
        yield "--compares-nothing"


def _variables(environment: Mapping[str, str], path: str) -> Iterator[str]:
    """Values may be secrets, so they come from the shell, which says what has to be set; not those with the path."""
    for name, value in environment.items():
        shown = shlex.quote(f"{name}={value.replace(path, RUN_PATH)}")
        yield from ("--env", shown if path in value else f'{name}="${{{name}?as in the test}}"')


def _shown(path: str, directory: str) -> str:
    shown = os.path.relpath(path, directory)
    return path if shown.startswith("..") else shown


def _only_yields(each_run: EachRun | None) -> bool:
    """Whether it does nothing but yield variables: of what else it does no command knows."""
    if each_run is None:
        return True
    try:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(each_run))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return False
    if not isinstance(function, ast.FunctionDef) or function.decorator_list:
        return False
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Yield)
