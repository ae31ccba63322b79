"""tools/check_patches.py catches patches past the registry, and targets that are patched in two places."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

# once: reads the sources of the package
pytestmark = pytest.mark.once

PROJECT = Path(__file__).resolve().parents[2]
TOOL = PROJECT / "tools" / "check_patches.py"
Check = Callable[[dict[str, str]], "list[str]"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_patches_under_test", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check(tool: ModuleType, tmp_path: Path) -> Check:
    def write_and_check(texts: dict[str, str]) -> list[str]:
        for name, text in texts.items():
            path = tmp_path / "pytest_scf_async" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return list(tool.check(tmp_path / "pytest_scf_async"))

    return write_and_check


def test_this_package_patches_each_target_once(tool: ModuleType) -> None:
    assert tool.check(PROJECT / "pytest_scf_async") == []


def test_the_targets_of_this_package_are_seen(tool: ModuleType) -> None:
    targets = {target for _, finder in tool._found(PROJECT / "pytest_scf_async") for target, _ in finder.patches}
    assert {
        *("os.kill", "os.fork", "os.execve", "signal.pthread_kill", "socket.socket.connect", "socket.socket.recvmsg"),
        *("time.sleep", "time.monotonic", "ssl.SSLSocket.read", "ssl.SSLContext.wrap_socket", "io.FileIO.write"),
    } <= targets


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.kill = kill",
        "import os as system\nsystem.kill = kill",
        "from os import path\npath.join = join",
        "import socket\nsocket.socket.connect = connect",
        "def install():\n    import pdb\n    pdb.set_trace = nothing",
        "import os\nsetattr(os, 'kill', kill)",
        "import os\nfor name in NAMES:\n    setattr(os, name, kill)",
        "import os\ndel os.kill",
        "import os\ndelattr(os, 'kill')",
        "import os\nvars(os)['kill'] = kill",
        "import os\nos.__dict__['kill'] = kill",
        "import os\n(os.kill, other) = kill, 1",
        "import no_such_library\nno_such_library.call = call",
    ],
)
def test_a_write_past_the_registry_is_caught(check: Check, text: str) -> None:
    (violation,) = check({"bootstrap/patches/signals.py": text})
    assert "patch it by the registry" in violation


@pytest.mark.parametrize(
    "text",
    [
        "import sys\nsys.argv = []",
        "import sys\nsys.dont_write_bytecode = True",
        "from .scheduler import scheduler\nscheduler.kill = kill",
        "def patch(ssl_object):\n    setattr(ssl_object, _LAYER, layer)",
        "import os\nkill = os.kill",
        "import os\nvars(os)['kill']",
        "class Own:\n    def __init__(self):\n        self.kill = 1",
        "import os\nregistry.replace(os, 'kill', kill, why)",
    ],
)
def test_data_and_what_is_no_librarys_may_be_written(check: Check, text: str) -> None:
    assert check({"bootstrap/patches/signals.py": text}) == []


def test_the_registry_itself_and_other_rooms_may_write(check: Check) -> None:
    text = "import os\nos.kill = kill"
    assert check({"bootstrap/patches/registry.py": text, "lockstep/test_process.py": text}) == []


ONCE = "import os\nregistry.replace(os, 'kill', kill, why)"


@pytest.mark.parametrize(
    "text",
    [
        "import os\nregistry.replace(os, 'kill', other, why)",
        "import os\nregistry.rebind(os, 'kill', other, why)",
        "import os as system\nregistry.replace(system, 'kill', other, why)",
        "def patch(os):\n    registry.replace(os, 'kill', other, why)",
        "import os\nfor name in ('abort', 'kill'):\n    registry.replace(os, name, other, why)",
        "import os\nNAMES = ['abort', 'kill']\nfor name in NAMES:\n    registry.replace(os, name, other, why)",
        "import os\nNAMES = {'kill': 1}\nfor name in NAMES:\n    registry.replace(os, name, other, why)",
        "import os\nNAMES = {'kill': 1}\nfor name, one in NAMES.items():\n    registry.replace(os, name, other, why)",
        "import os\nfor name, one in (('abort', 1), ('kill', 2)):\n    registry.replace(os, name, other, why)",
        "import os\nfrom .names import NAMES\nfor name in NAMES:\n    registry.replace(os, name, other, why)",
    ],
)
def test_a_target_that_another_place_patches_is_caught(check: Check, text: str) -> None:
    violations = check(
        {
            "bootstrap/a.py": ONCE,
            "bootstrap/b.py": text,
            "bootstrap/names.py": "NAMES = ('abort', 'kill')",
        }
    )
    assert violations == [v for v in violations if "patches os.kill, which a" in v.replace("bootstrap/a.py:2", "a")]
    assert len(violations) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import os\nregistry.replace(os, name, other, why)",
        "import os\nfor name in names():\n    registry.replace(os, name, other, why)",
        "import os\nregistry.replace(os, loop.method, other, why)",
        "import os\nfor name in ('abort', name_of(it)):\n    registry.replace(os, name, other, why)",
    ],
)
def test_a_target_whose_name_cannot_be_seen_is_caught(check: Check, text: str) -> None:
    (violation,) = check({"bootstrap/a.py": text})
    assert "name the target by a constant" in violation


def test_the_tool_says_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "bootstrap").mkdir()
    (tmp_path / "bootstrap" / "a.py").write_text("import os\nos.kill = kill\n")
    run = subprocess.run([sys.executable, TOOL, tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "bootstrap/a.py:2: writes os.kill" in run.stdout
    assert "1 violations" in run.stdout


def test_a_directory_without_files_is_no_success(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, TOOL, tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 2
