"""Read the content of files, and choose which tables, records and observed values of a run are compared.

``legitimate.py`` and ``comparison.py`` both read effects through these functions: what is learned from two undisturbed
runs has to be what is compared later.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from .effects import RESULT, EffectKind, Effects, FileContent, Json, Key, as_json
from .ignored import Ignored


class Document(NamedTuple):
    """The content of a file of JSON, which may be null."""

    value: Json


_NO_JSON = (".jsonl", ".ndjson", ".log", ".txt", ".csv")
"""Files of lines, of which a single one may be JSON by itself."""


def is_json_by_name(name: str) -> bool:
    return name.lower().endswith(".json")


def document_of(name: str, content: bytes) -> Document | None:
    """What a file of JSON has: one that is called so, or begins with a bracket and has no name of a file of lines."""
    if not is_json_by_name(name) and (content.lstrip()[:1] not in (b"{", b"[") or name.lower().endswith(_NO_JSON)):
        return None
    try:
        return Document(as_json(json.loads(content)))
    except (ValueError, RecursionError):
        return None


def is_text(content: bytes) -> bool:
    """Whether it is text, by git's rule: it has no zero byte."""
    return b"\0" not in content[:8192]


def text_of(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def ends_line(content: bytes) -> bool:
    return content.endswith(b"\n")


def lines_of(content: bytes) -> list[str]:
    lines = text_of(content).split("\n")
    return lines[:-1] if not lines[-1] else lines


def is_database(content: FileContent) -> bool:
    """An empty file is a database without tables, too."""
    return content.kind == "database" or content == FileContent("file")


class Table(NamedTuple):
    rows: list[dict[str, Json]]
    key: Key


def tables_of(effects: Effects, ignored: Ignored) -> dict[str, Table]:
    """Tables by ``database:table``, the databases by the normal form of their names."""
    found: dict[str, Table] = {}
    for (database, table), rows in effects.rows.items():
        name = f"{ignored.file_names.normal(database)}:{table}"
        if ignored.has(EffectKind.FILE, database) or ignored.has(EffectKind.ROW, name):
            continue
        if name in found:
            found[name].rows.extend(rows)
        else:
            found[name] = Table([*rows], effects.keys.get((database, table), Key()))
    return found


def records_of(effects: Effects, ignored: Ignored) -> dict[str, list[dict[str, Json]]]:
    """The fields of records by name, in order."""
    found: dict[str, list[dict[str, Json]]] = {}
    for name, fields in effects.records:
        found.setdefault(name, []).append(fields)
    return {name: fields for name, fields in found.items() if not ignored.has(EffectKind.RECORD, name)}


def observed_of(effects: Effects, ignored: Ignored) -> dict[str, Json]:
    """What the test and plugins observed; a plugin's name that the test has, too, is said to be the plugin's."""
    seen = effects.observed
    more = {f"{name} (plugin)" if name in seen else name: value for name, value in effects.more.items()}
    return {name: value for name, value in (*seen.items(), *more.items()) if not ignored.has(EffectKind.OBSERVED, name)}


def values_of(effects: Effects, ignored: Ignored) -> dict[tuple[EffectKind, str], Json]:
    """The observed values, and the result if there is one."""
    found = {(EffectKind.OBSERVED, name): value for name, value in observed_of(effects, ignored).items()}
    if effects.has_result and not ignored.has(EffectKind.RESULT, RESULT):
        found[EffectKind.RESULT, RESULT] = effects.result
    return found
