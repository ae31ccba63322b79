"""The parameters of each action are those of the official SDK, by name and by type."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from tencentcloud.scf.v20180416 import models
from tencentcloud.scf.v20180416.scf_client import ScfClient

from pytest_scf_async.endpoint.actions import ACTIONS, OTHER_ACTIONS
from pytest_scf_async.endpoint.parameters import BOOLEAN, FLOAT, INTEGER, STRING, ListOf, Scalar, Struct

TYPES = {"str": STRING, "int": INTEGER, "float": FLOAT, "bool": BOOLEAN}

UNDOCUMENTED = ("UpdateFunctionConfiguration.TraceEnable", "CreateFunction.L5Enable")
"""Taken by the platform, and in no SDK: tools of the vendor send them."""


def of_sdk(model: type) -> dict[str, str]:
    """The members of one of the SDK's models, and how it documents their types."""
    documented = re.findall(r":param _(\w+):.*?:type \w+: ([^\n]+)", inspect.getsource(model.__init__), re.DOTALL)
    return {name: kind.removeprefix(":class:`").removesuffix("`").rpartition(".")[2] for name, kind in documented}


def differences(struct: Struct, model: type, place: str) -> list[str]:
    of_model = of_sdk(model)
    found = [
        f"{place}.{name} is only in {'the SDK' if name in of_model else 'the endpoint'}"
        for name in sorted(of_model.keys() ^ struct.fields.keys())
        if f"{place}.{name}" not in UNDOCUMENTED
    ]
    for name in of_model.keys() & struct.fields.keys():
        found += difference_of(struct.fields[name].kind, of_model[name], f"{place}.{name}")
    return found


def difference_of(kind: Scalar | ListOf | Struct, documented: str, place: str) -> list[str]:
    if isinstance(kind, ListOf):
        if not documented.startswith("list of "):
            return [f"{place} is a list, and {documented} in the SDK"]
        return difference_of(kind.item, documented.removeprefix("list of "), place)
    if isinstance(kind, Struct):
        if kind.name != documented:
            return [f"{place} is {kind.name}, and {documented} in the SDK"]
        return differences(kind, getattr(models, documented), place)
    return [] if TYPES.get(documented) is kind else [f"{place} is {kind.name}, and {documented} in the SDK"]


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_parameters(action: str) -> None:
    assert differences(ACTIONS[action].request, getattr(models, f"{action}Request"), action) == []


def test_actions() -> None:
    of_client: dict[str, Any] = dict(inspect.getmembers(ScfClient, inspect.isfunction))

    assert {name for name in of_client if name[0].isupper()} == ACTIONS.keys() | OTHER_ACTIONS
