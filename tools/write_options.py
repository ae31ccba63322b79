"""Writes from the table of options, pytest_scf_async/options.py, what has to stand in other files as text.

It writes between ``# [options: NAME]`` and ``# [end]``, below ``Args:`` in the docstrings of the calls that take them,
and the tables of docs/reference.md. Settings that few projects change have their table in docs/tuning.md.
Run: make options, or python tools/write_options.py [--check] [the project's directory]
"""

from __future__ import annotations

import importlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from datetime import tzinfo
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent.parent
WIDTH = 120
PACKAGE = "pytest_scf_async"


def plain(text: str) -> str:
    """*text* without its links and the marks of code."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "")


def phrase(text: str) -> str:
    """A sentence as a part of another."""
    lowered = text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
    return lowered.removesuffix(".")


def sentence(text: str) -> str:
    """A part of a sentence as one of its own."""
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


TUNING = (
    "real_limit", "compute_grace", "clock_reads_before_wait", "program_cpus", "clock", "leases", "preload",
    "idle_reclaim", "compute_rate", "stop_noise", "status_reads_limit",
)  # fmt: skip
"""Settings that docs/tuning.md has: most projects change none of them."""
SETTINGS = {
    "Limits, and where instances run": (
        "timeout", "init_timeout", "memory", "real_timeout", "sandbox", "network", "environment", "start", "patched",
    ),
    "What a test has to look at": ("never_run", "unfinished"),
    "Where the platform's documents leave something open": (
        "graceful_return_status", "graceful_exit_status", "unlistened_signal_line", "restore_environment",
        "terminate_without_trace", "api_rate_limits", "over_quota", "function_states", "function_state_time",
    ),
}  # fmt: skip
"""The other settings by group; those that are in none come last."""
KEYWORDS = {
    "What is run": (
        "code", "handler", "command", "image", "cwd", "port", "in_process", "runtime", "layers", "mounts",
        "before_init", "before_init_args",
    ),
    "Its name": ("name", "namespace", "description"),
    "Its limits": ("timeout", "init_timeout", "memory", "max_instances", "over_quota", "async_run", "trace"),
    "What it finds": ("environment", "network", "ports"),
    "What holds the clock": ("children", "background", "idle_ok", "compute_rate"),
}  # fmt: skip
"""The keywords of deploy and deploy_image by group; those that are in none come last."""
PAYLOAD = "payload: the data of the event that `async_event` is, of JSON"
"""The one keyword of the marker that ``deploy`` has not."""

Names = tuple[str, ...]
Groups = dict[str, Names]


class Views:
    """What the table of *options*, a module, looks like in each of the other files."""

    def __init__(self, options: ModuleType) -> None:
        self.options: Any = options
        self.where: Any = options.Where

    def files(self) -> dict[str, dict[str, Callable[[], list[str]]]]:
        """By file: its blocks, each with what makes its lines; those that begin with # are headings of a page."""
        where = self.where
        return {
            f"{PACKAGE}/options.py": {"settings": self.settings},
            f"{PACKAGE}/model/configuration.py": {"configuration": self.configuration},
            f"{PACKAGE}/plugin/plugin.py": {"pytest": self.pytest},
            f"{PACKAGE}/runtime.py": {
                "deploy": lambda: self.parameters(where.DEPLOY),
                "Args: deploy": lambda: self.docstring(where.DEPLOY),
            },
            f"{PACKAGE}/scripted_calls.py": {
                "deploy_scripted": lambda: self.parameters(where.SCRIPTED),
                "Args: deploy_scripted": lambda: self.docstring(where.SCRIPTED),
            },
            f"{PACKAGE}/programs/runtimes/calls.py": {
                "deploy_image": lambda: self.parameters(where.IMAGE),
                "Args: deploy_image": lambda: self.docstring(where.IMAGE),
            },
            f"{PACKAGE}/marker.py": {
                "scf_function": self.parameters_of_marker,
                "Args: scf_function": lambda: [PAYLOAD, *self.docstring(where.DEPLOY, indent=8)],
            },
            f"{PACKAGE}/function.py": {"update": lambda: self.parameters(where.UPDATE)},
            "docs/reference.md": {
                "## Settings": lambda: self.table_of_settings(SETTINGS, besides=TUNING),
                "## Keywords of `deploy`": lambda: self.table_of_keywords(where.DEPLOY, KEYWORDS),
                "## Keywords of `deploy_image`": lambda: self.table_of_keywords(where.IMAGE, KEYWORDS),
                "## Keywords of `deploy_scripted`": lambda: self.table_of_keywords(where.SCRIPTED, {}),
            },
            "docs/tuning.md": {"## Settings": lambda: self.table_of_settings({"": TUNING}, only=TUNING)},
        }

    # -- Python ------------------------------------------------------------------------------------------------------

    def settings(self) -> list[str]:
        """The fields of ScfSettings."""
        lines: list[str] = []
        for option in self.options.options_of(self.where.SETTINGS):
            none = " | None" if option.none else ""
            lines += [
                f"{option.name}: {option.type}{none} = {self.default(option)}",
                *documented(plain_code(option.text)),
            ]
        return lines

    def configuration(self) -> list[str]:
        """The fields of FunctionConfiguration."""
        lines: list[str] = []
        for option in self.options.OPTIONS:
            if option.kept:
                hidden = " = field(hash=False, repr=False)" if option.secret else ""
                lines += [
                    f"{option.name}: {option.kept}{hidden}",
                    *documented(plain_code(sentence(self.keyword(option)))),
                ]
        return lines

    def pytest(self) -> list[str]:
        """The options of the command line and the ini file, with their texts for --help."""
        lines: list[str] = []
        for option in self.options.options_of(self.where.PYTEST):
            text, form = plain(option.text), option.rule.form
            text = re.sub(r"\. (\w)", lambda found: f"; {found[1].lower()}", phrase(text))
            shown = all(re.search(rf"\b{re.escape(word.strip(','))}\b", text) for word in form.split())
            lines += parted(f'"{option.name}": ', (text if shown else f"{text} ({form})").replace("%", "%%"))
        return lines

    def parameters(self, where: Any) -> list[str]:
        """The parameters of a call behind self."""
        options = self.options.options_of(where)
        named = [self.parameter(option, where) for option in options if not option.first]
        return [*(self.parameter(option, where) for option in options if option.first), "*,", *named]

    def parameters_of_marker(self) -> list[str]:
        """The parameters of the marker: those of ``deploy``, none of them required, and the payload."""
        lines: list[str] = []
        for option in self.options.options_of(self.where.DEPLOY):
            none = " | None" if self.parameter(option, self.where.DEPLOY).endswith(" | None = None,") else ""
            lines.append(f"{option.name}: {option.type}{none} = NOT_GIVEN,")
            if option.first:
                lines += ["*,", "payload: Json = NOT_GIVEN,"]
        return lines

    def parameter(self, option: Any, where: Any) -> str:
        if where is self.where.UPDATE:
            if option.none_is_unchanged:
                return f"{option.name}: {option.type} | None = None,"
            none = " | None" if option.none or option.none_clears else ""
            return f"{option.name}: {option.type} | Unchanged{none} = UNCHANGED,"
        if option.first and not option.none:
            return f"{option.name}: {option.type},"
        if option.default is None or self.where.SETTINGS in option.where:
            return f"{option.name}: {option.type} | None = None,"
        return f"{option.name}: {option.type} = {self.default(option)},"

    def docstring(self, where: Any, indent: int = 12) -> list[str]:
        """The part of a docstring that says what each keyword is."""
        lines: list[str] = []
        for option in self.options.options_of(where):
            if not option.first:
                text = f"{option.name}: {plain_code(self.keyword(option, where))}"
                lines += textwrap.wrap(text, WIDTH - indent, subsequent_indent="    ", break_on_hyphens=False)
        return lines

    def default(self, option: Any) -> str:
        if option.written_default:
            return str(option.written_default)
        return f'"{option.default}"' if isinstance(option.default, str) else repr(option.default)

    def keyword(self, option: Any, where: Any = None) -> str:
        """What a keyword is, as a part of a sentence."""
        return (option.image if where is self.where.IMAGE else "") or option.deploy or phrase(option.text)

    # -- docs/reference.md and docs/tuning.md ------------------------------------------------------------------------

    def table_of_settings(self, groups: Groups, *, only: Names = (), besides: Names = ()) -> list[str]:
        rows: dict[str, str] = {}
        for option in self.options.options_of(self.where.SETTINGS):
            if option.name in besides or (only and option.name not in only):
                continue
            value = dict(option.default) if isinstance(option.default, MappingProxyType) else option.default
            shown = str(value) if isinstance(value, tzinfo) else f"`{value!r}`"
            given = "yes" if self.where.PYTEST in option.where else "no"
            rows[option.name] = f"| `{option.name}` | {shown} | {given} | {option.text} |"
        return ["| setting | default | option | what it is |", "|---|---|---|---|", *grouped(rows, groups, " | | |")]

    def table_of_keywords(self, where: Any, groups: Groups) -> list[str]:
        options = self.options.options_of(where)
        rows = {option.name: f"| `{option.name}` | {self.keyword(option, where)} |" for option in options}
        return ["| keyword | what it is |", "|---|---|", *grouped(rows, groups, " |")]


def grouped(rows: dict[str, str], groups: Groups, end: str) -> list[str]:
    """*rows*, by name, below the names of their *groups*; those that are in none come last."""
    left, found = dict(rows), []
    for title, names in groups.items():
        of_group = [left.pop(name) for name in names if name in left]
        found += [f"| **{title}** |{end}", *of_group] if title and of_group else of_group
    return [*found, *([f"| **Others** |{end}"] if groups and left else ()), *left.values()]


def plain_code(text: str) -> str:
    """*text* without its links."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


def documented(text: str) -> list[str]:
    """The docstring of a field."""
    *lines, last = textwrap.wrap(f'"""{text}', WIDTH - 4, break_on_hyphens=False)
    return [*lines, f'{last}"""'] if len(last) + 7 <= WIDTH else [*lines, last, '"""']


def parted(key: str, text: str) -> list[str]:
    """An entry of a dict, in as many lines as it needs."""
    quoted = python_text(text)
    if len(key) + len(quoted) + 5 <= WIDTH:
        return [f"{key}{quoted},"]
    parts = textwrap.wrap(text, WIDTH - 12, break_on_hyphens=False)
    lines = [python_text(f"{part} ") for part in parts[:-1]] + [python_text(parts[-1])]
    return [f"{key}(", *(f"    {line}" for line in lines), "),"]


def python_text(text: str) -> str:
    mark = "'" if text.count('"') > text.count("'") else '"'
    return mark + text.replace(mark, f"\\{mark}") + mark


def written(page: str, name: str, lines: Iterable[str]) -> str:
    """*page* with *lines* as its block *name*."""
    old = page.splitlines()
    if name.startswith("#"):
        start = _after(old, lambda line: line.startswith("|"), _after(old, lambda line: line == name))
        start, indent = start - 1, ""
        ends = (
            number for number in range(start, len(old) + 1) if not "".join(old[number : number + 1]).startswith("|")
        )
    elif name.startswith("Args: "):
        start = _after(old, lambda line: line.lstrip() == f"def {name.removeprefix('Args: ')}(")
        start = _after(old, lambda line: line.lstrip() == "Args:", start)
        indent = f"{old[start - 1].partition('A')[0]}    "
        ends = (number for number in range(start, len(old)) if old[number].strip() in ("", '"""'))
    else:
        start = _after(old, lambda line: line.lstrip().startswith(f"# [options: {name}]"))
        indent = old[start - 1].partition("#")[0]
        ends = (number for number in range(start, len(old)) if old[number] == f"{indent}# [end]")
    made = [*old[:start], *(f"{indent}{line}" for line in lines), *old[next(ends) :]]
    return "\n".join(made) + "\n"


def _after(lines: list[str], wanted: Callable[[str], bool], start: int = 0) -> int:
    return next(number for number in range(start, len(lines)) if wanted(lines[number])) + 1


def views(root: Path) -> dict[Path, tuple[str, str]]:
    """Each file that follows the table in the project *root*: what it has, and what it should have."""
    sys.path.insert(0, str(root))
    try:
        options = importlib.import_module(f"{PACKAGE}.options")
    finally:
        sys.path.pop(0)
    found: dict[Path, tuple[str, str]] = {}
    for file, blocks in Views(options).files().items():
        before = after = (root / file).read_text(encoding="utf-8")
        for name, lines in blocks.items():
            try:
                after = written(after, name, lines())
            except StopIteration:
                raise SystemExit(f"write_options: {file} has no place for {name!r}") from None
        found[root / file] = before, after
    return found


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    paths = [argument for argument in arguments if argument != "--check"]
    found = views(Path(*paths) if paths else HERE)
    behind = [(path, after) for path, (before, after) in found.items() if before != after]
    for path, after in behind:
        print(f"{path}: {'does not follow from the table of options: make options' if check else 'written'}")
        if not check:
            path.write_text(after, encoding="utf-8")
    if check and not behind:
        print("write_options: everything follows from the table")
    return 1 if check and behind else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
