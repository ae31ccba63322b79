"""What the Python of a program has imported: it says so at its end, in a run that is made for that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..protocol.shortening import shortened_list

_NAMED: Final = 30
"""Distributions that a text names."""
_SUFFIX: Final = ".imported"
_SAYS: Final = '''"""Says at the end what was imported; the sitecustomize that would be there without it comes first."""

import atexit
import json
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

here = os.path.dirname(os.path.abspath(__file__))
spec = PathFinder.find_spec("sitecustomize", [each for each in sys.path if os.path.abspath(each) != here])
if spec is not None and spec.loader is not None:
    spec.loader.exec_module(module_from_spec(spec))
before = set(sys.modules)


def says():
    names = {name.partition(".")[0] for name in set(sys.modules) - before}
    found = {}
    try:
        from importlib.metadata import packages_distributions, version

        of_names = packages_distributions()
        for distribution in sorted({each for name in names for each in of_names.get(name, ())}):
            found[distribution] = version(distribution)
    except Exception:  # what is installed is not whole, or this Python is old
        pass
    python = sys.implementation.name + " " + sys.version.split()[0]
    with open(os.path.join(here, str(os.getpid()) + ".imported"), "w") as file:
        json.dump({"python": python, "distributions": found}, file)


atexit.register(says)
'''


def have_said(directory: Path) -> None:
    """Have each Python that has *directory* on ``PYTHONPATH`` say there, at its end, what it has imported."""
    (directory / "sitecustomize.py").write_text(_SAYS, encoding="utf-8")


def versions_in(directory: Path) -> Iterator[str]:
    """The versions of these Pythons, and of the distributions that they have imported."""
    said = [json.loads(each.read_text(encoding="utf-8")) for each in sorted(directory.glob(f"*{_SUFFIX}"))]
    yield from sorted({each["python"] for each in said})
    distributions = sorted({f"{name} {version}" for each in said for name, version in each["distributions"].items()})
    if distributions:
        yield shortened_list(distributions, _NAMED)
