"""Slow cold starts, and what to do about them: each run of a sweep has one."""

from __future__ import annotations

import ast
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path


def cold_start_texts(lines: Iterable[tuple[str, int, float]], directory: str, script: str) -> Iterator[str]:
    """A sentence for each line at the top of a module that takes long, slowest first.

    *lines* are files, lines and real seconds; *directory* has the function's own modules. Of the file *script* only
    imports count, as its other lines are the work of a job; it is empty where the function is none.
    """
    seconds: defaultdict[tuple[str, int], float] = defaultdict(float)
    for file, line, took in lines:
        seconds[file, line] += took
    for (file, line), took in sorted(seconds.items(), key=lambda item: -item[1]):
        names = _imported_at(file, line)
        libraries = [name for name in names if not _is_own(name, directory)]
        place = f"{os.path.basename(file)}:{line}"
        if libraries:
            shown = ",".join(libraries)
            spent = f"{took:.1f} s of each cold start goes into the import at {place}"
            yield f"{spent}: preload={shown} imports it once for all runs"
        elif names or file != script:
            yield f"{took:.1f} s of each cold start goes into {place}"


def _imported_at(file: str, line: int) -> list[str]:
    """The top-level modules that the statement there imports; none where it is another statement."""
    try:
        tree = ast.parse(Path(file).read_bytes(), file)
    except (OSError, SyntaxError, ValueError):
        return []
    names: list[str] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom) or not node.lineno <= line <= (node.end_lineno or 0):
            continue
        if isinstance(node, ast.Import):
            names += [alias.name.partition(".")[0] for alias in node.names]
        elif node.module is not None and not node.level:
            names.append(node.module.partition(".")[0])
    return list(dict.fromkeys(names))


def _is_own(name: str, directory: str) -> bool:
    return os.path.isdir(os.path.join(directory, name)) or os.path.isfile(os.path.join(directory, f"{name}.py"))
