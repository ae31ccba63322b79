"""Builds the wheel, by way of the sdist, and runs the examples with it in a clean environment, in a copy elsewhere.

Two environments: one with the newest releases of what the wheel depends on, one with the oldest that it allows.
Run: python tools/try_wheel.py [--newest PYTHON] [--oldest PYTHON] [--only newest]; a Python that is not given is
the one that runs this, and with --only there is one environment. Packages are installed with pip, or with the uv that
the variable UV names, in a fifth of the time.
"""

from __future__ import annotations

import argparse
import email.parser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from email.message import Message
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
PACKAGE = "pytest_scf_async"
EXAMPLES_NEED = ("flask",)
"""What the programs of examples import themselves."""
ELSEWHERE = ("npm",)
"""Marks of those that are not run here: they load packages from a registry (`make wire` runs them)."""
LIMIT = 300.0
"""Real seconds that a command may take."""

UV = os.environ.get("UV", "")
if "/" in UV:
    UV = str(TREE / UV)

WHERE = """
import importlib.metadata, sys
import pytest_scf_async
found = {each.metadata["Name"].lower() for each in importlib.metadata.distributions()}
assert pytest_scf_async.__file__.startswith(sys.prefix), pytest_scf_async.__file__
assert not found & {"coverage", "hypothesis", "mypy", "ruff", "pytest-xdist"}, found
assert all(getattr(pytest_scf_async, name) is not None for name in pytest_scf_async.__all__)
names = ("pytest", "pluggy", "freezegun", "pytest-timeout")
print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in names))
"""


def run(*command: str | os.PathLike[str], cwd: Path, limit: float | None = LIMIT) -> str:
    """Run *command* in *cwd* with nothing of this environment's Python settings; its output, or the end of us."""
    barred = ("PYTEST_", "PYTHON", "VIRTUAL_ENV", "COV_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(barred)}
    done = subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, timeout=limit, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def clean_environment(python: str, directory: Path) -> Path:
    """A virtual environment without packages; its interpreter."""
    make = (UV, "venv", "--quiet", "--no-project", "--python", python) if UV else (python, "-m", "venv")
    run(*make, directory, cwd=directory.parent)
    return directory / "bin" / "python"


def pip(python: Path, *arguments: str | os.PathLike[str]) -> None:
    by_pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    install = (UV, "pip", "install", "--quiet", "--python", python) if UV else by_pip
    run(*install, *arguments, cwd=python.parent)


def build(scratch: Path, *besides: str) -> Path:
    """The wheel, made from the sdist, as ``pip install`` of the sdist would make it; the sdist is beside it.

    What builds it, and the packages *besides*, are in the environment ``building``.
    """
    python = clean_environment(sys.executable, scratch / "building")
    pip(python, "build[uv]" if UV else "build", *besides)
    run(python, "-m", "build", *(("--installer", "uv") if UV else ()), "--outdir", scratch / "dist", TREE, cwd=scratch)
    (wheel,) = (scratch / "dist").glob("*.whl")
    return wheel


def metadata_of(wheel: Path) -> Message:
    """The metadata of *wheel*: its headers, and the long description behind them."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.parser.Parser().parsestr(archive.read(name).decode())


def lower_bounds(wheel: Path) -> list[str]:
    """What the wheel needs, each in the oldest version that it allows."""
    headers = metadata_of(wheel)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = [path for ending in ("*.py", "*.js", "*.css") for path in (TREE / PACKAGE).rglob(ending)]
    files.append(TREE / PACKAGE / "py.typed")
    missing = {str(path.relative_to(TREE)) for path in files} - names
    if missing:
        sys.exit(f"the wheel lacks {', '.join(sorted(missing))}")
    bounds = []
    for requirement in headers.get_all("Requires-Dist", []):
        if ";" in requirement:
            continue  # of an extra
        found = re.match(r"\s*([\w.-]+).*>=\s*([\w.]+)", requirement)
        if found is None:
            sys.exit(f"the requirement {requirement!r} has no lower bound")
        bounds.append(f"{found[1]}=={found[2]}")
    return bounds


def try_in(python: str, wheel: Path, versions: list[str], scratch: Path) -> str:
    """Install *wheel* beside *versions* and run a copy of the examples; what was installed, and pytest's last line."""
    scratch.mkdir()
    inside = clean_environment(python, scratch / "environment")
    pip(inside, f"{wheel}[endpoint]", *versions, *EXAMPLES_NEED)
    projects = scratch / "examples"
    shutil.copytree(TREE / "examples", projects, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    shutil.copy(TREE / "conftest.py", projects)  # it has the examples' marks, and leaves out what this machine lacks
    options = ("-q", "-p", "no:cacheprovider", "-W", "error", "--strict-markers")
    found = run(inside, "-c", WHERE, cwd=scratch).strip()
    left_out = ("-m", " and ".join(f"not {mark}" for mark in ELSEWHERE))
    lines = run(inside, "-m", "pytest", *options, *left_out, cwd=projects).splitlines()
    if not re.match(r"\d+ passed(, \d+ deselected)? in ", lines[-1]):
        sys.exit(f"the examples did not just pass: {lines[-1]}")
    last = "\n  ".join([*(line for line in lines if line.startswith("left out: ")), lines[-1]])
    return f"{found}\n  {last}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--newest", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--oldest", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--only", choices=("newest", "oldest"), help="try the wheel with these releases alone")
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scf-wheel.") as directory:
        scratch = Path(directory)
        wheel = build(scratch)
        print(f"built {wheel.name}, {wheel.stat().st_size // 1024} KB")
        if arguments.only != "oldest":
            print(f"newest: {try_in(arguments.newest, wheel, [], scratch / 'newest')}")
        if arguments.only != "newest":
            print(f"oldest: {try_in(arguments.oldest, wheel, lower_bounds(wheel), scratch / 'oldest')}")
    print(f"the wheel passes the examples ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
