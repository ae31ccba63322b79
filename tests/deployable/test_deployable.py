"""``assert_deployable`` and ``check``: what is found in code before it is deployed, and what is not."""

from __future__ import annotations

import re
import textwrap
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_scf_async import ScfUsageError, assert_deployable
from pytest_scf_async.command_line import main
from pytest_scf_async.session import Defaults

TREE = Path(__file__).resolve().parent.parent.parent
HANDLER = "def main_handler(event, context):\n    return event\n"
ELF = b"\x7fELF\x02" + bytes(13) + b"\x3e\0" + bytes(40)
"""The beginning of a file for Linux on x86-64."""
ARM = ELF.replace(b"\x3e", b"\xb7")
MACHO = b"\xcf\xfa\xed\xfe" + bytes(60)


def package(at: Path, files: dict[str, str | bytes]) -> Path:
    """A directory with *files*."""
    for name, content in files.items():
        path = at / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
    return at


def zipped(directory: Path, to: Path) -> Path:
    with zipfile.ZipFile(to, "w") as archive:
        for path in sorted(directory.rglob("*")):
            archive.write(path, path.relative_to(directory))
    return to


def found(path: Path | str, **keywords: Any) -> list[str]:
    """The findings, with the directory of the test left out."""
    try:
        assert_deployable(path, **keywords)
    except AssertionError as error:
        return [line.removeprefix("- ") for line in str(error).replace(f"{path}", "CODE").splitlines()[1:]]
    return []


def of_imports(tmp_path: Path, code: str, files: dict[str, str | bytes] | None = None, **keywords: Any) -> list[str]:
    """What is found in a handler that begins with *code*, beside *files*."""
    index = textwrap.dedent(code) + HANDLER
    return found(package(tmp_path / "code", {**(files or {}), "index.py": index}), **keywords)


# -- the handler, and where it is --------------------------------------------------------------------------------------


def test_a_directory_a_zip_and_a_file_can_be_deployed(tmp_path: Path) -> None:
    code = package(tmp_path / "code", {"index.py": HANDLER})
    assert_deployable(code)
    assert_deployable(zipped(code, tmp_path / "code.zip"), runtime="Python3.9")
    assert_deployable(f"{code}/index.py:main_handler")


def test_nothing_of_the_code_is_run(tmp_path: Path) -> None:
    assert of_imports(tmp_path, "raise SystemExit('this module was run')\n") == []


def test_a_relative_path_is_looked_up_beside_the_test_and_from_the_root_directory() -> None:
    assert_deployable("examples/export/handlers/export.py:main_handler")


def test_the_file_of_the_handler_is_missing(tmp_path: Path) -> None:
    code = package(tmp_path / "code", {"app.py": HANDLER})
    assert found(code) == [
        (
            "CODE has no index.py for the handler 'index.main_handler', which is event code 437: pack it, or give the "
            "handler that is there"
        )
    ]
    assert found(code, handler="app.main_handler") == []


@pytest.mark.parametrize("as_zip", [False, True])
def test_the_handler_is_below_the_top_directory(tmp_path: Path, as_zip: bool) -> None:
    code = package(tmp_path / "code", {"function/index.py": HANDLER})
    assert found(zipped(code, tmp_path / "code.zip") if as_zip else code) == [
        (
            "CODE has no index.py for the handler 'index.main_handler', which is event code 437: pack what is in "
            "function, and not function itself"
        )
    ]


def test_the_function_is_missing(tmp_path: Path) -> None:
    code = package(tmp_path / "code", {"index.py": "def handler(event, context): ...\n"})
    assert found(code) == [
        "CODE/index.py: it has no main_handler, which is event code 443: define it, or give another handler"
    ]


@pytest.mark.parametrize(
    "code",
    [
        "from app import main_handler\n",
        "from app import handler as main_handler\n",
        "from app import *\n",
        "import app\nmain_handler = app.handler\n",
        "try:\n    import app\nexcept ImportError:\n    pass\nelse:\n    def main_handler(event, context): ...\n",
        "async def main_handler(event, context): ...\n",
    ],
)
def test_a_function_may_be_defined_in_any_way(tmp_path: Path, code: str) -> None:
    assert found(package(tmp_path / "code", {"index.py": code, "app.py": "handler = main_handler = print\n"})) == []


def test_a_handler_of_a_package(tmp_path: Path) -> None:
    code = package(tmp_path / "code", {"app/__init__.py": "", "app/jobs.py": "from . import rows\n" + HANDLER})
    package(code, {"app/rows.py": ""})
    assert found(code, handler="app.jobs.main_handler") == []


def test_a_handler_that_is_not_valid(tmp_path: Path) -> None:
    assert found(package(tmp_path / "code", {"index.py": HANDLER}), handler="index.main handler") == [
        (
            "handler='index.main handler' is not valid: it must be the file without .py, a dot and the name of the "
            "function, as in 'index.main_handler'"
        )
    ]


def test_a_handler_that_is_no_text(tmp_path: Path) -> None:
    (finding,) = found(package(tmp_path / "code", {"index.py": HANDLER}), handler=7)
    assert finding.startswith("handler=7 is not valid: it must be ")


@pytest.mark.parametrize("path", ["", "/"])
def test_a_path_that_is_empty_is_not_the_working_directory(path: str) -> None:
    with pytest.raises(ScfUsageError, match=f"^path is '{path}'; it must be a directory of code, a zip or a file's "):
        assert_deployable(path)


def test_what_is_no_finding_but_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(ScfUsageError, match=r"there is no .*/nowhere"):
        assert_deployable(tmp_path / "nowhere")
    code = package(tmp_path / "code", {"index.php": ""})
    with pytest.raises(
        ScfUsageError, match=r"runtime='Php8.0' is not checked; these are: Python2.7, .*, CustomRuntime"
    ):
        assert_deployable(code, runtime="Php8.0")
    archive = zipped(code, tmp_path / "good.zip").read_bytes()
    (tmp_path / "bad.zip").write_bytes(b"damaged" + archive[7:])
    with pytest.raises(ScfUsageError, match="damaged zip"):
        assert_deployable(tmp_path / "bad.zip")


# -- sizes and variables -----------------------------------------------------------------------------------------------


def test_code_and_layers_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_scf_async.deployable.check.LARGEST_CODE", 1_000)
    code = package(tmp_path / "code", {"index.py": HANDLER})
    layer = package(tmp_path / "layer", {"data": b"x" * 950})
    assert found(code) == []
    (finding,) = found(code, layers=[layer])
    assert finding == (
        "code and layers have 1,001 bytes unpacked, and the platform takes 1,000: leave out what is not needed, or "
        "deploy an image"
    )


def test_a_zip_that_is_too_large_for_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_scf_async.deployable.check.LARGEST_ZIP", 1_000)
    archive = zipped(package(tmp_path / "code", {"index.py": HANDLER, "data": b"x" * 1_000}), tmp_path / "code.zip")
    (finding,) = found(archive)
    assert re.fullmatch(
        r"the zip has 1,\d+ bytes, and CreateFunction takes 1,000: upload it to COS \(by_cos=True, --by-cos\), or move "
        "packages into layers",
        finding,
    )
    assert found(archive, by_cos=True) == []


def test_names_of_variables_and_their_size(tmp_path: Path) -> None:
    code = package(tmp_path / "code", {"index.py": HANDLER})
    assert found(code, environment={"BUCKET": "exports", "_": "1", "SCF_X": "1"}) == [
        (
            "the environment variable '_' is not valid: it has 2 to 64 letters, digits and underscores, and starts "
            "with a letter"
        ),
        "the environment variable 'SCF_X' is not valid: the platform reserves names that start with SCF_",
    ]
    (finding,) = found(code, environment={"AA": "x" * 4_000, "BB": "x" * 93})
    assert finding.startswith("environment of 4,097 bytes is not valid")
    assert found(code, environment={"AA": "x" * 4_000, "BB": "x" * 92}) == []


# -- imports -----------------------------------------------------------------------------------------------------------


def test_a_module_that_is_not_packed(tmp_path: Path) -> None:
    assert of_imports(tmp_path, "import json\nimport rows.of\n") == [
        (
            "CODE/index.py:2: it imports rows, which is neither packed nor in the platform's Python 3.10: pip install "
            "--target CODE, with the name of its package"
        )
    ]


def test_what_is_packed_is_followed_to_what_it_imports(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "rows/__init__.py": "from .of import read\n",
        "rows/of.py": "import json, gone\n",
        "space/inner.py": "",
    }
    assert of_imports(tmp_path, "import rows, space.inner\n", files) == [
        (
            "CODE/rows/of.py:1: it imports gone, which is neither packed nor in the platform's Python 3.10: pip "
            "install --target CODE, with the name of its package"
        )
    ]


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    import gone\nexcept ImportError:\n    gone = None\n",
        "try:\n    import gone\nexcept (AttributeError, ModuleNotFoundError):\n    gone = None\n",
        "try:\n    import gone\nexcept Exception:\n    gone = None\n",
        "try:\n    import gone\nexcept:\n    gone = None\n",
        "try:\n    import json\nexcept ImportError:\n    import gone as json\n",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import gone\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gone\n",
        "import typing\nif typing.TYPE_CHECKING:\n    import gone\nelse:\n    gone = None\n",
        "def debug():\n    import gone\n",
        "class A:\n    def debug(self):\n        import gone\n",
        "import os\nif os.environ.get('DEBUG'):\n    import gone\n",
        "import sys\nif sys.version_info >= (3, 11):\n    import tomllib\n",
        "import sys\nif sys.platform == 'win32':\n    import gone\n",
        "if __name__ == '__main__':\n    import gone\n",
        "import setuptools, pkg_resources\n",
        "import imp, cgi, distutils.util, asyncore, telnetlib\n",
        "import importlib.metadata, xml.etree.ElementTree as tree, concurrent.futures\n",
        "from typing import ParamSpec, TypeAlias\nfrom itertools import pairwise\n",
    ],
)
@pytest.mark.interpreter
def test_an_import_that_may_fail_or_need_not_be_packed_is_no_finding(tmp_path: Path, code: str) -> None:
    assert of_imports(tmp_path, code) == []


@pytest.mark.interpreter
@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("try:\n    import gone\nexcept ImportError as error:\n    raise RuntimeError from error\n", "gone"),
        ("try:\n    import gone\nexcept AttributeError:\n    pass\n", "gone"),
        ("class A:\n    import gone\n", "gone"),
        ("import sys\nif sys.version_info < (3, 11):\n    import gone\n", "gone"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import gone\n", "gone"),
    ],
)
def test_an_import_that_fails_in_spite_of_its_conditions_is_one(tmp_path: Path, code: str, name: str) -> None:
    (finding,) = of_imports(tmp_path, code)
    assert f"it imports {name}, which is neither packed" in finding


def test_an_import_in_the_handler_itself_is_one(tmp_path: Path) -> None:
    code = package(tmp_path / "code", {"index.py": "def main_handler(event, context):\n    import gone\n"})
    (finding,) = found(code)
    assert finding.startswith("CODE/index.py:2: it imports gone, ")


@pytest.mark.interpreter
@pytest.mark.parametrize(
    ("runtime", "code", "name", "since"),
    [
        ("Python3.10", "import tomllib\n", "tomllib", "3.11"),
        ("Python3.10", "from datetime import UTC, datetime\n", "datetime.UTC", "3.11"),
        ("Python3.10", "from enum import StrEnum\n", "enum.StrEnum", "3.11"),
        ("Python3.9", "from typing import ParamSpec\n", "typing.ParamSpec", "3.10"),
        ("Python3.7", "from importlib import metadata\n", "importlib.metadata", "3.8"),
        ("Python3.7", "import importlib.metadata\n", "importlib.metadata", "3.8"),
        ("Python3.6", "import dataclasses\n", "dataclasses", "3.7"),
    ],
)
def test_what_a_newer_python_has(tmp_path: Path, runtime: str, code: str, name: str, since: str) -> None:
    version = runtime.removeprefix("Python")
    assert of_imports(tmp_path, code, runtime=runtime) == [
        (
            f"CODE/index.py:1: it imports {name}, which Python has since {since}, and the runtime has {version}: do "
            "without it, or pack a backport"
        )
    ]


def test_a_backport_that_is_packed_is_none(tmp_path: Path) -> None:
    assert of_imports(tmp_path, "import tomllib\n", {"tomllib.py": ""}) == []


def test_packages_of_the_platform_are_there_in_python_3_6_alone(tmp_path: Path) -> None:
    code = "import requests\nfrom qcloud_cos_v5 import CosConfig\nfrom google.protobuf import message\n"
    assert of_imports(tmp_path, code, runtime="Python3.6") == []
    assert [finding.partition(", ")[0] for finding in of_imports(tmp_path, code, runtime="Python3.7")] == [
        "CODE/index.py:1: it imports requests",
        "CODE/index.py:2: it imports qcloud_cos_v5",
        "CODE/index.py:3: it imports google",
    ]


@pytest.mark.parametrize("as_zip", [False, True])
def test_a_layer_has_it(tmp_path: Path, as_zip: bool) -> None:
    layer = package(tmp_path / "layer", {"rows/__init__.py": "import gone\n"})
    layer = zipped(layer, tmp_path / "layer.zip") if as_zip else layer
    (finding,) = of_imports(tmp_path, "import rows\n", layers=[layer])
    assert finding.startswith(f"{layer}/rows/__init__.py:1: it imports gone, ")


def test_a_layer_has_it_in_a_directory_as_on_other_platforms(tmp_path: Path) -> None:
    layer = package(tmp_path / "layer", {"python/rows/__init__.py": ""})
    assert of_imports(tmp_path, "import rows\n", layers=[layer]) == [
        (
            f"CODE/index.py:1: it imports rows, which is in python of {layer}, where Python does not look: put it at "
            f"the root of {layer}"
        )
    ]


def test_code_that_changes_sys_path_may_find_it_elsewhere(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"vendor/rows.py": ""}
    (finding,) = of_imports(tmp_path, "import rows\n", files)
    assert "which is in vendor of CODE, where Python does not look: put it at the root of CODE" in finding
    assert of_imports(tmp_path, "import sys\nsys.path.append('vendor')\nimport rows\n", files) == []


def test_a_file_of_the_package_that_is_missing(tmp_path: Path) -> None:
    assert of_imports(tmp_path, "import rows.reader\n", {"rows/__init__.py": ""}) == [
        "CODE/index.py:1: it imports rows.reader, and the package has no such file: pack it, or correct the name"
    ]


def test_a_module_that_makes_others_may_have_it(tmp_path: Path) -> None:
    assert (
        of_imports(tmp_path, "from six.moves import urllib\n", {"six.py": "import sys\nsys.modules['six.moves'] = 1\n"})
        == []
    )


def test_a_relative_import_of_the_entry_file(tmp_path: Path) -> None:
    assert of_imports(tmp_path, "from . import rows\n", {"rows.py": ""}) == [
        "CODE/index.py:1: it imports relatively, and is in no package: import by the name of the file, without the dot"
    ]


# -- syntax ------------------------------------------------------------------------------------------------------------


@pytest.mark.interpreter
@pytest.mark.parametrize(
    ("runtime", "code", "line"),
    [
        ("Python3.9", "def f(x):\n    match x:\n        case 1:\n            pass\n", 3),
        ("Python3.7", "if (n := 10) > 5:\n    pass\n", 1),
        ("Python3.10", "try:\n    pass\nexcept* ValueError:\n    pass\n", 3),
        ("Python3.10", 'x = {"a": 1}\ny = f"{x["a"]}"\n', 2),
        ("Python3.10", "x = [1]\ny = f\"{'\\n'.join(x)}\"\n", 2),
        ("Python3.10", "def f(:\n", 1),
    ],
)
def test_syntax_that_the_runtime_does_not_have(tmp_path: Path, runtime: str, code: str, line: int) -> None:
    (finding,) = of_imports(tmp_path, "import rows\n", {"rows.py": code}, runtime=runtime)
    assert re.match(
        rf"CODE/rows.py:\d+: Python {runtime[6:]} cannot parse it \(.+\): write it as that version has it", finding
    )
    assert abs(int(finding.split(":")[1]) - line) <= 1  # of a statement of several lines, Python names one


@pytest.mark.interpreter
def test_a_file_with_null_bytes_is_named_with_a_line(tmp_path: Path) -> None:
    """Of these Python names no line."""
    (finding,) = of_imports(tmp_path, "import rows\n", {"rows.py": "a = 1\n\0"})
    assert finding.startswith("CODE/rows.py:1: Python 3.10 cannot parse it (source code string cannot contain null ")


@pytest.mark.interpreter
def test_strings_and_syntax_that_it_has(tmp_path: Path) -> None:
    code = """
        x = {"a": 1}
        y = f"{x['a']}: {{}} {x!r:>{10}}" + f'{x["a"]}' + f'''{x["a"]} {x['a']}''' + "\\n"
        z = f"a\\n{len(x)}"
        match x:
            case {"a": 1}:
                pass
        """
    assert of_imports(tmp_path, code, {"never_imported.py": "print 'Python 2'\n"}) == []


# -- compiled modules --------------------------------------------------------------------------------------------------

FITTING = "fast.cpython-310-x86_64-linux-gnu.so"


@pytest.mark.parametrize(
    "name",
    [
        "fast.cpython-313-x86_64-linux-gnu.so",
        "fast.cpython-310-aarch64-linux-gnu.so",
        "fast.cpython-310-darwin.so",
        "fast.cp310-win_amd64.pyd",
    ],
)
def test_a_compiled_module_for_another_python_or_system(tmp_path: Path, name: str) -> None:
    files: dict[str, str | bytes] = {"rows/__init__.py": "from .fast import read\n", f"rows/{name}": ELF}
    assert of_imports(tmp_path, "import rows\n", files) == [
        (
            f"CODE/rows/{name}: CODE/rows/__init__.py imports it, and Python 3.10 loads "
            "*.cpython-310-x86_64-linux-gnu.so there: python3.10 -m pip install --upgrade --only-binary=:all: "
            "--platform manylinux2014_x86_64 --target CODE ..."
        )
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (ARM, "is not compiled for Linux on x86-64"),
        (MACHO, "is not compiled for Linux on x86-64"),
        (b"MZ" + bytes(60), "is not compiled for Linux on x86-64"),
        (ELF + b"\0libc.musl-x86_64.so.1\0", "is compiled for musl, as Alpine Linux has it, and not for glibc"),
        (ELF + b"\0GLIBC_2.2.5\0GLIBC_2.28\0", "needs glibc 2.28, and the platform has 2.17"),
    ],
)
@pytest.mark.parametrize("name", ["fast.abi3.so", FITTING, "fast.so"])
def test_a_compiled_module_that_the_platform_does_not_load(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    (finding,) = of_imports(tmp_path, "import fast\n", {name: content})
    assert finding.startswith(f"CODE/{name}: it {why}: python3.10 -m pip install ")


@pytest.mark.parametrize(
    "files",
    [
        {FITTING: ELF + b"\0GLIBC_2.2.5\0GLIBC_2.17\0"},
        {"fast.abi3.so": ELF},
        {"fast.py": "", "fast.cpython-313-x86_64-linux-gnu.so": ELF},  # Python takes the file that it can
        {FITTING: ELF, "fast.cpython-313-x86_64-linux-gnu.so": ELF},
        {
            "fast.py": "try:\n    import _fast\nexcept ImportError:\n    pass\n",
            "_fast.cpython-313-x86_64-linux-gnu.so": ELF,
        },
        {"fast.py": "", "never_imported.abi3.so": MACHO},
    ],
)
def test_a_compiled_module_that_it_loads_or_does_not_need(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    assert of_imports(tmp_path, "import fast\n", files) == []


def test_one_that_is_imported_below_a_condition_is_found_once_a_package(tmp_path: Path) -> None:
    code = "try:\n    SETUP\nexcept NameError:\n    SETUP = False\nif SETUP:\n    pass\nelse:\n    from . import a, b\n"
    other = "cpython-313-x86_64-linux-gnu.so"
    (finding,) = of_imports(
        tmp_path, "import np\n", {"np/__init__.py": code, f"np/a.{other}": ELF, f"np/b.{other}": ELF}
    )
    assert finding.startswith(f"CODE/np/a.{other}: CODE/np/__init__.py imports it, ")


# -- the timeout, and what a tool's file says --------------------------------------------------------------------------

THREE = (
    "the timeout of this async function is 3 s, the platform's default: what takes longer is FAILED, 433; set one of "
    "up to 86,400 s"
)
SYNC = "timeout=3600 is not valid: the timeout of a sync function is 1 to 900 whole seconds"


@pytest.mark.parametrize(
    ("keywords", "findings"),
    [
        ({}, []),
        ({"timeout": 3}, []),
        ({"timeout": 3, "async_run": True}, [THREE]),
        ({"timeout": timedelta(seconds=3), "async_run": True}, [THREE]),
        ({"async_run": True}, [THREE]),
        ({"timeout": 3_600, "async_run": True}, []),
        ({"timeout": 3_600}, []),
        ({"timeout": 900, "async_run": False}, []),
        (
            {"timeout": 3_600, "async_run": False},
            [SYNC],
        ),
        (
            {"timeout": 90_000, "async_run": True},
            ["timeout=90000 is not valid: the timeout of an async function is 1 to 86,400 whole seconds"],
        ),
    ],
)
def test_the_timeout_of_keywords(tmp_path: Path, keywords: dict[str, Any], findings: list[str]) -> None:
    assert found(package(tmp_path / "code", {"index.py": HANDLER}), **keywords) == findings


SERVERLESS = """
    component: scf
    inputs:
      name: export
      handler: {handler}
      runtime: Python3.9  # the runtime
      asyncRunEnable: {is_async}
      timeout: {timeout}
      environment:
        variables:
          BUCKET: exports
    """


@pytest.mark.parametrize(
    ("is_async", "timeout", "findings"),
    [
        ("true", "3", [f"CODE/serverless.yml:8: {THREE}"]),
        ("true", "", [f"CODE/serverless.yml:8: {THREE}"]),
        ("true", "3600", []),
        ("true", "${env:TIMEOUT}", []),
        ("false", "3", []),
        (
            "false",
            "3600",
            [f"CODE/serverless.yml:8: {SYNC}"],
        ),
    ],
)
def test_the_timeout_of_serverless_yml(tmp_path: Path, is_async: str, timeout: str, findings: list[str]) -> None:
    said = SERVERLESS.format(handler="index.main_handler", is_async=is_async, timeout=timeout)
    assert found(package(tmp_path / "code", {"index.py": HANDLER, "serverless.yml": said})) == findings


def test_handler_and_runtime_of_serverless_yml_unless_they_are_given(tmp_path: Path) -> None:
    said = SERVERLESS.format(handler='"app.run"', is_async="true", timeout="60")
    code = package(tmp_path / "code", {"app.py": "def run(event, context):\n    match event:\n        case 1: pass\n"})
    config = package(tmp_path, {"other.yml": said}) / "other.yml"
    (finding,) = found(code, config=config)
    assert finding.startswith("CODE/app.py:3: Python 3.9 cannot parse it ")
    assert found(code, config=config, runtime="Python3.10") == []
    assert "has no index.py" in found(code, config=config, handler="index.run")[0]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    code = package(tmp_path / "code", {"index.py": HANDLER})
    with pytest.raises(ScfUsageError, match=r"^config is '/nowhere.yml', which cannot be read: No such file"):
        assert_deployable(code, config="/nowhere.yml")


def test_a_template_of_the_command_line_tool(tmp_path: Path) -> None:
    said = (
        "Resources:\n  default:\n    f:\n      Properties:\n        Handler: index.main_handler\n        Timeout: 999\n"
    )
    (finding,) = found(package(tmp_path / "code", {"index.py": HANDLER, "template.yaml": said}), async_run=False)
    assert finding.startswith("CODE/template.yaml:6: timeout=999 is not valid")


def test_a_file_of_more_than_one_function_says_nothing(tmp_path: Path) -> None:
    said = SERVERLESS.format(handler="a.b", is_async="true", timeout="3")
    assert found(package(tmp_path / "code", {"index.py": HANDLER, "serverless.yml": said + said})) == []


def test_layers_that_a_file_names_may_have_what_is_missing(tmp_path: Path) -> None:
    said = "inputs:\n  handler: index.main_handler\n  layers:\n    - name: libraries\n      version: 1\n"
    files: dict[str, str | bytes] = {"serverless.yml": said}
    assert of_imports(tmp_path, "import rows\n", files) == []
    assert len(of_imports(tmp_path, "import rows\n", files, layers=[package(tmp_path / "layer", {"a.py": ""})])) == 1


# -- other runtimes ----------------------------------------------------------------------------------------------------


def test_of_python_2_the_layout_alone(tmp_path: Path) -> None:
    code = package(tmp_path / "code", {"index.py": "print 'Python 2'\n"})
    assert found(code, runtime="Python2.7") == []
    assert len(found(code, runtime="Python2.7", handler="app.main_handler")) == 1


def test_of_nodejs_the_file_of_the_handler(tmp_path: Path) -> None:
    code = package(tmp_path / "code", {"src/index.js": "exports.main_handler = async () => {};\n"})
    (finding,) = found(code, runtime="Nodejs18.15")
    assert "has no index.js" in finding
    assert "pack what is in src, and not src itself" in finding
    assert found(code / "src", runtime="Nodejs18.15") == []


@pytest.mark.parametrize(("runtime", "name"), [("Go1", "main"), ("CustomRuntime", "bootstrap")])
def test_of_a_program_its_file(tmp_path: Path, runtime: str, name: str) -> None:
    code = package(tmp_path / "code", {"README": ""})
    assert f"has no {name} for the handler '{name}'" in found(code, runtime=runtime)[0]
    package(code, {name: ARM})
    assert found(code, runtime=runtime) == [
        f"CODE/{name}: it is not executable: chmod 755, and pack it again",
        f"CODE/{name}: it is not compiled for Linux on x86-64: build it with GOOS=linux GOARCH=amd64, or on CentOS 7",
    ]
    package(code, {name: ELF})
    (code / name).chmod(0o755)
    assert found(zipped(code, tmp_path / "code.zip"), runtime=runtime) == []
    package(code, {name: "#!/bin/bash\n"})
    assert found(code, runtime=runtime) == []


# -- the examples ------------------------------------------------------------------------------------------------------

HANDLERS = sorted(
    f"{path.relative_to(TREE)}:{function}"
    for path in TREE.glob("examples/*/handlers/*.py")
    for function in re.findall(r"^def (\w*handler)\(", path.read_text("utf-8"), re.MULTILINE)
)


def test_all_examples_can_be_deployed() -> None:
    assert len(HANDLERS) > 15
    findings = {handler: found(handler) for handler in HANDLERS}
    (qcloud_cos,) = findings.pop("examples/object_store/handlers/archive.py:main_handler")
    assert "it imports qcloud_cos, which is neither packed nor in the platform's Python 3.10" in qcloud_cos
    assert {handler: each for handler, each in findings.items() if each} == {}
    assert_deployable("examples/nodejs/function", runtime="Nodejs18.15")
    assert_deployable("examples/custom_runtime/function", runtime="CustomRuntime")


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = package(tmp_path / "code", {"index.py": HANDLER, "app.py": "import rows\ndef run(event, context): ...\n"})
    layer = package(tmp_path / "layer", {"rows.py": ""})
    assert main(["check", str(code)]) == 0
    assert capsys.readouterr().out == f"{code}: nothing is known that keeps it from being deployed\n"
    options = ["--runtime", "Python3.9", "--handler", "app.run", "--async", "--env", "SCF_A=1"]
    assert main(["check", str(code), *options]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{code} cannot be deployed (app.run, Python3.9):"
    assert [line.split(":")[0] for line in printed[1:]] == [
        "- the environment variable 'SCF_A' is not valid",
        "- the timeout of this async function is 3 s, the platform's default",
        f"- {code}/app.py",
    ]
    assert main(["check", str(code), "--handler=app.run", f"--layer={layer}", "--timeout=60", "--env=A1=1"]) == 0


def test_a_command_that_is_not_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = package(tmp_path / "code", {"index.py": HANDLER})
    assert main(["check", str(code), "--env", "A"]) == 1
    assert "check: --env A is not valid: it must be NAME=VALUE" in capsys.readouterr().err


def test_a_finding_names_a_file_as_the_path_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package(tmp_path / "src", {"index.py": "import gone\n" + HANDLER})
    monkeypatch.setattr("pytest_scf_async.session.defaults", Defaults)  # as without a session of pytest
    for directory, given, name in (
        (tmp_path, "src", "src"),
        (tmp_path, "src/", "src"),
        (tmp_path, "src/index.py:main_handler", "src"),
        (tmp_path / "src", ".", "."),
    ):
        monkeypatch.chdir(directory)
        assert main(["check", given]) == 1
        assert f"\n- {name}/index.py:1: it imports gone, " in capsys.readouterr().out


def test_an_error_begins_with_what_was_checked(tmp_path: Path) -> None:
    code = package(tmp_path / "code", {"app.py": HANDLER})
    with pytest.raises(AssertionError, match=rf"^{code} cannot be deployed \(index.main_handler, Python3.10\):\n- "):
        assert_deployable(code)
