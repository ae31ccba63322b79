"""tools/check_runtimes.py catches tests on which runtime something has, outside the place that knows runtimes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from package_checks import PACKAGE, load_tool, run_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

Check = Callable[[str, str], "list[str]"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("check_runtimes")


@pytest.fixture
def check(tool: ModuleType, tmp_path: Path) -> Check:
    def write_and_check(name: str, text: str) -> list[str]:
        return list(tool.check(write_package(tmp_path, {name: text})))

    return write_and_check


def test_every_function_that_may_decide_is_there(tool: ModuleType) -> None:
    for name, functions in tool.DECIDES.items():
        source = (PACKAGE / name).read_text()
        assert [each for each in functions if f"def {each}(" not in source] == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("if function.launch is None: ...", "launch"),
        ("if launch is not None and True: ...", "launch"),
        ("x = launch or other", "launch"),
        ("x = 1 if event.function.launch else 2", "launch"),
        ("if (launch := f().launch) is None: ...", "launch"),
        ("if instance.parent is not None: ...", "parent"),
        ("x = instance.parent or instance", "parent"),
        ("x = [each for each in all if not each.parent]", "parent"),
        ("while not instance.free_running: ...", "free_running"),
        ("assert not launch.free_running", "free_running"),
        ("x = [each for each in all if each.free_running]", "free_running"),
        ("turn = not instance.free_running", "free_running"),
        ("if program is None: ...", "program"),
        ("if config['program']['free_running']: ...", "'free_running'"),
        ("if config['program'] is not None: ...", "'program'"),
        ("if 'program' in hint: ...", "'program'"),
        ("if instance.program_pid: ...", "program_pid"),
        ("if self._program_pidfd is None: ...", "_program_pidfd"),
        ("if launch.speaks == 'gob': ...", "speaks"),
        ("match launch.speaks:\n    case 'gob': ...", "speaks"),
        ("if configuration.runtime == IMAGE_RUNTIME: ...", "IMAGE_RUNTIME"),
        ("if kind in model.PYTHON_RUNTIMES: ...", "PYTHON_RUNTIMES"),
        ("if isinstance(function.runtime, runtimes.FreeRunning): ...", "FreeRunning"),
    ],
)
@pytest.mark.parametrize("name", ["lockstep/scheduler", "instances/instance", "runtime", "python/instance"])
def test_a_test_on_the_runtime_is_caught(check: Check, name: str, text: str, what: str) -> None:
    (violation,) = check(name, f"def f():\n    {text.replace(chr(10), chr(10) + '    ')}\n")
    assert violation.startswith(f"pytest_scf_async/{name}.py:2: this tests {what}: ask the Runtime")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("instances/runtimes/choice", "if launch.free_running: ..."),
        ("model/configuration", "if value == IMAGE_RUNTIME: ..."),
        ("programs/roles", "def role_of(config):\n    return None if config['program'] is None else 1"),
        ("lockstep/scheduler", "if instance.runtime.in_lockstep and not instance.gone: ..."),
        ("lockstep/scheduler", "x = function.launch.moved(a, b)"),
        ("plugin/plugin", "base = config.inipath.parent if config.inipath is not None else config.rootpath"),
        ("linux/procfs", "while (parent := parent_of(at)) != ancestor: ..."),
        ("report/cause", "if first.startswith('the program closed'): ..."),
    ],
)
def test_what_is_no_test_on_the_runtime_is_fine(check: Check, name: str, text: str) -> None:
    assert check(name, text) == []


def test_a_function_may_decide_in_its_own_file_only(check: Check) -> None:
    assert len(check("lockstep/scheduler", "def role_of(config):\n    return config['program'] is None")) == 1


def test_the_command_prints_each_violation_and_fails(tmp_path: Path) -> None:
    root = write_package(tmp_path, {"pool": "\nif launch is None: ...\n"})
    ended = run_tool("check_runtimes", root)
    violation, last = ended.stdout.splitlines()
    assert violation.startswith("pytest_scf_async/pool.py:2: this tests launch: ask the Runtime for the fact")
    assert last == "check_runtimes: 1 violations"
    assert ended.returncode == 1
