"""Every command that a page, a message or a tool of the project names is known to work.

Commands are the lines of console blocks that begin with ``$``, inline code of pages that begins with a program of
``PROVERS`` and has arguments, and what texts in the sources tell users to install or to run. Each is proven by what it
names: a target of the Makefile, an option of pytest, a package. What no such rule covers is in ``RUN_BY``, with the
test that runs it. A program that is not known here is an error.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata

import pytest
from docs_support import TREE, blocks

from pytest_scf_async import command_line

# once: reads pages and sources
pytestmark = pytest.mark.once

PAGES = sorted(
    str(path.relative_to(TREE))
    for pattern in ("*.md", "docs/**/*.md", "examples/**/README*.md", ".github/**/*.md")
    for path in TREE.glob(pattern)
)
SOURCES = sorted(
    str(path.relative_to(TREE))
    for pattern in ("pytest_scf_async/**/*.py", "examples/*/*.py", "benchmarks/**/*.py", "tools/*.py", "Makefile",
                    "pyproject.toml", "conftest.py")
    for path in TREE.glob(pattern)
)  # fmt: skip
IN_SOURCES = re.compile(r"\b(?:pip install|apt-get install|python -m pytest_scf_async|make ci-leg) [^\n`()\"$;]*")
"""In texts for users; a placeholder of an f-string ends a command."""
MESSAGES = re.compile(r"<!-- \[messages: .*?<!-- \[end\] -->", re.DOTALL)
"""Tables of a page with the texts of errors, which may begin as a command does."""
NAMED = re.compile(r"pip install|apt-get|-m pytest_scf_async|ci-leg")
"""What is in a source with such a text, over however many lines the text goes."""
RUN_BY = {
    "tccli scf ListFunctions --endpoint $SCF_ENDPOINT_URL": "tests/wire/test_tccli.py",
    "go test": "examples/endpoint_go/test_endpoint_go.py",
    "go test ./...": "examples/endpoint_go/test_endpoint_go.py",
    "npm ci": "examples/endpoint_jest/test_endpoint_jest.py",
    "npm test": "examples/endpoint_jest/test_endpoint_jest.py",
    "python demo.py": "examples/demo/test_demo.py",
    "python demo.py --build": "examples/demo/test_demo.py",
    "git apply": "tests/project/pages/test_docs_report.py",
    "sh repro.sh undisturbed": "tests/sweep/test_repros.py",
    "python rehearse.py": "examples/without_pytest/test_rehearse.py",
}
"""Commands as they are written, each with the file of the test that runs it."""
NOT_OURS = {
    "go mod download": "what users do in a module of their own; no test loads a module",
    "go mod tidy": "what users do in a module of their own; no test loads a module",
    "coverage run -m pytest": "tests/plugin/beside/test_coverage.py measures as it does",
    "pip install --upgrade --only-binary=": "what users install of their own packages, for the platform",
    "pip install --target": "what users install of their own packages, for the platform",
    "git commit": "the name of a row of docs/survival.md: what examples/survival/git_commit runs",
    "make UV=uv …": "any target: it begins as another, and the Makefile has the variable",
    "apt-get install": "of tables: conftest.py has one of what tests need, tools/try_wheel.py of what examples do",
    "export TENCENTCLOUD_SECRET_ID=… TENCENTCLOUD_SECRET_KEY=… TENCENTCLOUD_REGION=ap-guangzhou": "the shell's own",
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0": "Ubuntu's; the page says that it was not tried",
}
"""Commands that no test runs, each with the reason."""


class UnknownCommandError(Exception):
    """Nothing shows that a command works."""


@dataclass(frozen=True)
class Command:
    """A command and where it is written."""

    text: str
    file: str
    line: int

    @property
    def words(self) -> list[str]:
        """What a shell makes of it, without the variables before the program."""
        words = shlex.split(self.text, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        return words


def require(proven: object, what: str) -> None:
    if not proven:
        raise UnknownCommandError(what)


@cache
def makefile() -> tuple[set[str], set[str]]:
    """Its targets and its variables."""
    text = (TREE / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE)), set(re.findall(r"^(\w+) \?=", text, re.MULTILINE))


@cache
def legs() -> str:
    return "\n".join((TREE / name).read_text(encoding="utf-8") for name in (".ci/run", ".github/workflows/ci.yml"))


def by_make(words: list[str], command: Command) -> None:
    targets, variables = makefile()
    for word in words:
        name, _, value = word.partition("=")
        require(word in targets or name in variables, f"the Makefile has no {name}")
        if name == "ARGS":
            by_pytest(shlex.split(value), command)
        elif name == "LEG":
            require(re.search(rf"\bleg: {re.escape(value)},", legs()) or value in legs(), f"no leg is named {value}")
        elif name == "EXTRA":
            require(value in extras(), f"there is no extra {value}")


OPTIONS: set[str] = set()
"""The options and the settings of pytest, with its plugins."""


@pytest.fixture(autouse=True)
def known_options(pytester: pytest.Pytester, chosen_sandbox: str) -> None:
    if not OPTIONS:
        text = pytester.runpytest_inprocess("--help").stdout.str()
        OPTIONS.update(
            re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", text), re.findall(r"^  (\w+) \(", text, re.MULTILINE)
        )


def by_pytest(words: list[str], command: Command) -> None:
    value = False
    for word in words:
        option = word.partition("=")[0]
        if value:
            require("=" not in word or option in OPTIONS, f"pytest has no setting {word}")
            value = False
        elif word.startswith("-"):
            require(option in OPTIONS or word[:2] in OPTIONS, f"pytest has no option {option}")  # as in -rA
            value = word in ("-k", "-m", "-n", "-o", "-p")
        else:
            of_page = {block.name for block in blocks(command.file)} if command.file.endswith(".md") else set()
            file = word.partition("::")[0]
            require(file in of_page or (TREE / file).exists(), f"there is no {word}")


def by_python(words: list[str], command: Command) -> None:
    require(words[:2] == ["-m", "pytest_scf_async"], "of Python's modules only this project's own are commands")
    if len(words) == 2:
        return  # what it offers is named by its name alone
    with pytest.MonkeyPatch.context() as patch:
        parsed = []
        patch.setattr(command_line, "_run", lambda given: parsed.append(given) or 0)
        try:
            command_line.main([*words[2:], *(["a.py:handler"] if words[2:] == ["sweep"] else [])])
        except SystemExit:
            raise UnknownCommandError("its own parser refuses it") from None
        require(parsed, "its own parser refuses it")


@cache
def extras() -> dict[str, set[str]]:
    """The extras of this project, "" for none, each with the names of its requirements."""
    names = metadata.metadata("pytest-scf-async").get_all("Provides-Extra") or ()
    found: dict[str, set[str]] = {extra: set() for extra in ("", *names)}
    for requirement in metadata.requires("pytest-scf-async") or ():
        extra = re.search(r"extra == ['\"](\w+)['\"]", requirement)
        name = re.match(r"[\w.-]+", requirement)
        assert name is not None
        found[extra[1] if extra else ""].add(name[0].lower())
    return found


def by_pip(words: list[str], command: Command) -> None:
    if words == ["wheel", "--no-deps", "--wheel-dir", "dist", "."]:
        return  # tools/try_wheel.py builds one in a clean environment, and installs it
    require(words[:1] == ["install"] and len(words) > 1, "pip installs")
    others = set().union(*extras().values()) - {"pytest-scf-async"}
    for word in words[1:]:
        wheel = f"dist/pytest_scf_async-{metadata.version('pytest-scf-async')}-py3-none-any.whl"
        clone = re.fullmatch(rf"(?:\.|{re.escape(wheel)})(?:\[(\w+)\])?", word)
        require(clone or word.lower() in others, f"{word} is neither this clone nor a requirement of this project")
        require(not clone or (clone[1] or "") in extras(), f"this project has no extra {word}")


def by_apt(words: list[str], command: Command) -> None:
    require(words[:1] == ["install"] and len(words) > 1, "apt-get installs")
    installed = (TREE / ".ci" / "machine.sh").read_text(encoding="utf-8")
    for word in words[1:]:
        there = re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", installed)
        require(there, f".ci/machine.sh does not install {word}")


def by_ci(words: list[str], command: Command) -> None:
    for word in words:
        require(word == "--list" or re.search(rf"\bleg: {re.escape(word)},", legs()), f"no leg is named {word}")


def by_nothing(words: list[str], command: Command) -> None:
    raise UnknownCommandError("no rule and no test is known for it")


PROVERS: dict[str, Callable[[list[str], Command], None]] = {
    "make": by_make,
    "pytest": by_pytest,
    "python": by_python,
    "python3": by_python,
    "pip": by_pip,
    "apt-get": by_apt,
    ".ci/run": by_ci,
    **dict.fromkeys(
        ("npm", "npx", "node", "go", "curl", "git", "podman", "docker", "tccli", "coverage", "uv", "sudo", "pipx", "cd",
         "apt", "brew", "docker-compose", "export", "bash", "sh", "wget", "poetry", "tox", "nox"),
        by_nothing,
    ),
}  # fmt: skip
"""What shows that a command of a program works."""


def prove(command: Command) -> None:
    """Raises ``UnknownCommandError`` where nothing shows that *command* works."""
    if command.text in NOT_OURS or command.text in RUN_BY:
        return
    try:
        program, *words = command.words
    except ValueError as error:  # no program, or an open quote
        raise UnknownCommandError(str(error)) from None
    PROVERS.get(program, by_nothing)(words, command)


def of_page(page: str) -> Iterator[Command]:
    """The commands of a page."""
    lines = (TREE / page).read_text(encoding="utf-8").splitlines()
    for block in blocks(page):
        inside = range(block.line, block.line + block.text.count("\n") + 1)
        for number in (*inside, block.line - 1):
            text = lines[number] if number < len(lines) else ""
            in_shell = block.language in ("sh", "bash", "shell") and number in inside and text not in ("", "```")
            if (block.language in ("console", "text") and text.startswith("$ ")) or in_shell:
                yield Command(text.removeprefix("$ "), page, number + 1)
            lines[number] = ""
    rest = MESSAGES.sub(lambda table: "\n" * table[0].count("\n"), "\n".join(lines))
    for found in re.finditer(r"`([^`]+)`", rest):
        text = " ".join(found[1].split())
        words = text.split(" ")
        while len(words) > 1 and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if (len(words) > 1 and words[0] in PROVERS) or words[0].startswith(".ci/"):
            yield Command(text, page, rest.count("\n", 0, found.start()) + 1)


def of_source(name: str) -> Iterator[Command]:
    """The commands that a source tells users."""
    text = (TREE / name).read_text(encoding="utf-8")
    if not NAMED.search(text):
        return
    if not name.endswith(".py"):
        for number, line in enumerate(text.splitlines(), 1):
            if not line.startswith(("INSTALL", "MAKE_VENV")):
                yield from (Command(each.strip(" ."), name, number) for each in IN_SOURCES.findall(line))
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for each in IN_SOURCES.findall(node.value):
                yield Command(re.split(r"[,:]| and put ", each)[0].strip(" ."), name, node.lineno)


@cache
def in_pages() -> list[Command]:
    return [command for page in PAGES for command in of_page(page)]


@cache
def in_sources() -> list[Command]:
    return [command for name in SOURCES for command in of_source(name)]


def test_every_command_of_the_pages_is_known_to_work() -> None:
    assert len(in_pages()) > 60
    assert problems(in_pages()) == []


def test_every_command_of_the_sources_is_known_to_work() -> None:
    assert len(in_sources()) > 12
    assert problems(in_sources()) == []


def problems(commands: list[Command]) -> list[str]:
    found = []
    for command in commands:
        try:
            prove(command)
        except UnknownCommandError as error:
            found.append(f"{command.file}:{command.line}: {command.text}: {error}")
    return found


def test_what_a_machine_may_lack_is_what_ci_installs() -> None:
    """A run that leaves out tests says what to install, by a table."""
    packages = re.findall(r'package\(\s*"[^"]+",\s*"([^"]+)"', (TREE / "conftest.py").read_text(encoding="utf-8"))
    assert len(packages) > 5
    assert problems([Command(f"apt-get install {names}", "conftest.py", 1) for names in packages]) == []


def test_what_runs_a_command_is_there() -> None:
    written = {command.text for command in (*in_pages(), *in_sources())}
    for command, file in RUN_BY.items():
        assert command in written, command
        program = command.split()[0].replace("python", "sys.executable")
        text = (TREE / file).read_text(encoding="utf-8")
        assert program in text, f"{file} runs no {program}"
    assert not set(NOT_OURS) - written


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pip install pytest-scf-async", "pytest-scf-async is neither this clone nor a requirement"),
        ("pip install 'pytest-scf-async[sdk]'", "is neither this clone nor a requirement of this project"),
        ("pip install '.[nothing]'", "this project has no extra"),
        ("make nothing", "the Makefile has no nothing"),
        ("make test ARGS='--nothing'", "pytest has no option --nothing"),
        ("make ci-leg LEG=full-2.7", "no leg is named full-2.7"),
        ("pytest --scf-async-nothing=1", "pytest has no option --scf-async-nothing"),
        ("pytest -o scf_async_nothing=1", "pytest has no setting scf_async_nothing=1"),
        ("pytest tests/test_nothing.py", "there is no tests/test_nothing.py"),
        ("python -m pytest_scf_async serve --nothing", "its own parser refuses it"),
        ("python -m http.server", "only this project's own"),
        ("apt-get install nothing-at-all", ".ci/machine.sh does not install nothing-at-all"),
        (".ci/run nothing", "no leg is named nothing"),
        ("curl https://example.com/install.sh", "no rule and no test is known"),
        ("unheard-of --option", "no rule and no test is known"),
    ],
)
def test_a_command_that_is_not_known_is_found(text: str, problem: str) -> None:
    with pytest.raises(UnknownCommandError, match=re.escape(problem)):
        prove(Command(text, "README.md", 1))
