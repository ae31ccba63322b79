"""The form of the API's parameters in a query or in the body of a form: ``Status.0=FAILED&StartTimeInterval.Start=…``.

All values are texts. A list has the indices of its items as names, and a struct those of its members.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from ..errors import hidden_from_users
from .operations.error_texts import api_error

__tracebackhide__ = hidden_from_users

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""What a parameter may be."""

DEEPEST: Final = 32
"""How many lists and structs may be in each other. The deepest parameters of SCF have four levels."""

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_INCOMPLETE_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")

_Node: TypeAlias = "dict[str, _Node] | str"


def form_fields(form: bytes, where: str) -> dict[str, str]:
    """The names and values of a *form*, decoded, in their order. *where* it comes from is for messages (``the query``).

    Raises ``ScfApiError`` (``InvalidParameter``) for an escape that is cut short, for what is not UTF-8, for a NUL
    character, and for a name that is there twice: which of the two the platform takes is not documented.
    """
    if _INCOMPLETE_ESCAPE.search(form):
        raise api_error("InvalidParameter", name=where, valid="a form in which each '%' has two hexadecimal digits")
    fields: dict[str, str] = {}
    try:
        pairs = parse_qsl(form.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise api_error("InvalidParameter", name=where, valid="a form in UTF-8") from None
    for name, value in pairs:
        if name in fields:
            raise api_error("InvalidParameter", name=name[:100], valid=f"there once in {where}")
        if "\0" in name or "\0" in value:
            raise api_error("InvalidParameter", name=name[:100].replace("\0", "\\0"), valid="text without NUL")
        fields[name] = value
    return fields


def form_tree(fields: Mapping[str, str]) -> dict[str, Json]:
    """The parameters that *fields* are, with their lists and structs: ``A.0.B=x`` is ``{"A": [{"B": "x"}]}``.

    Indices give the order of a list. They may begin at any number and have gaps: the SDKs of Go and Node.js leave a
    missing item out and count it. Raises ``ScfApiError`` (``InvalidParameter``) for a name with an empty part, for one
    that is a value and has parts as well, or a list and a struct, and for more than `DEEPEST` parts.
    """
    root: dict[str, _Node] = {}
    for name, value in fields.items():
        parts = name.split(".")
        if len(parts) > DEEPEST or "" in parts:
            raise _refused(name, f"1 to {DEEPEST} names with a '.' between them")
        node = root
        for part in parts[:-1]:
            inner = node.setdefault(part, {})
            if isinstance(inner, str):
                raise _refused(name, "below a list or a struct, which is not itself a value")
            node = inner
        if parts[-1] in node:
            raise _refused(name, "either a value, or a list or a struct")
        node[parts[-1]] = value
    return {name: _json(node, name) for name, node in root.items()}


def _json(node: _Node, name: str) -> Json:
    if isinstance(node, str):
        return node
    indices = sum(1 for key in node if _INDEX.fullmatch(key))
    if not indices:
        return {key: _json(inner, f"{name}.{key}") for key, inner in node.items()}
    if indices < len(node):
        raise _refused(name, "either a list, whose items have numbers, or a struct")
    return [_json(node[key], f"{name}.{key}") for key in sorted(node, key=int)]


def _refused(name: str, valid: str) -> Exception:
    return api_error("InvalidParameter", name=name[:100], valid=valid)
