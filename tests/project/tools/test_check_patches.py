"""tools/check_patches.py catches patches past the registry, and targets that are patched in two places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from package_checks import PACKAGE, load_tool, run_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

Check = Callable[[dict[str, str]], "list[str]"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("check_patches")


@pytest.fixture
def check(tool: ModuleType, tmp_path: Path) -> Check:
    return lambda texts: list(tool.check(write_package(tmp_path, texts)))


def test_this_package_patches_each_target_once(tool: ModuleType) -> None:
    assert tool.check(PACKAGE) == []


def test_the_targets_of_this_package_are_seen(tool: ModuleType) -> None:
    targets = {target for _, finder in tool._found(PACKAGE) for target, _ in finder.patches}
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
    (violation,) = check({"python/patches/signals": text})
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
    assert check({"python/patches/signals": text}) == []


def test_the_registry_itself_and_other_rooms_may_write(check: Check) -> None:
    text = "import os\nos.kill = kill"
    assert check({"python/patches/registry": text, "lockstep/test_process": text}) == []


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
        "import os\nfrom .patches import registry as of_patches\nof_patches.replace(os, 'kill', other, why)",
        "import os\nfrom .patches.registry import replace as put\nput(os, 'kill', other, why)",
    ],
)
def test_a_target_that_another_place_patches_is_caught(check: Check, text: str) -> None:
    violations = check(
        {
            "python/a": ONCE,
            "python/b": text,
            "python/names": "NAMES = ('abort', 'kill')",
        }
    )
    (violation,) = violations
    assert "patches os.kill, which python/a.py:2 patches: subscribe to that" in violation


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
    (violation,) = check({"python/a": text})
    assert "name the target by a constant" in violation


def test_the_tool_says_what_it_found(tmp_path: Path) -> None:
    run = run_tool("check_patches", write_package(tmp_path, {"python/a": "import os\nos.kill = kill\n"}))
    assert run.returncode == 1
    assert "pytest_scf_async/python/a.py:2: writes os.kill" in run.stdout
    assert "1 violations" in run.stdout
