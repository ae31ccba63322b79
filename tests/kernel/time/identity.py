"""What other code sees of functions, classes and their instances: for a comparison between two interpreters.

The same file runs in a handler and in a plain interpreter: ``python identity.py`` reads targets, and prints facts.
"""

from __future__ import annotations

import base64
import copy
import importlib
import inspect
import io
import json
import os
import pickle
import re
import socket
import sys
from collections.abc import Callable, Collection
from types import FunctionType, MethodDescriptorType, ModuleType
from typing import Any

Facts = dict[str, Any]

ATTRIBUTES = ("__name__", "__qualname__", "__doc__", "__module__", "__text_signature__", "__annotations__", "__self__")
PREDICATES = ("isbuiltin", "isfunction", "isclass", "isroutine", "ismethod", "ismethoddescriptor", "isdatadescriptor")
OURS = ("pytest_scf_async", "__main__", "identity", "freezegun")
"""Modules that may have functions of ours."""
IN_INSTANCES = ("side", "python", "zygote", "programs")
"""Rooms of the package whose functions an instance puts in the place of others."""
INSTANCES = ("threading.Lock", "threading.RLock", "queue.SimpleQueue", "select.epoll", "select.poll")


def resolve(target: str) -> Any:
    """What ``os.fork``, or ``threading.Thread.join``, is."""
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise ImportError(target)


def said(ask: Callable[[], object]) -> str:
    """What *ask* returns, or raises, as text without addresses."""
    try:
        text = str(ask())
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
    return re.sub(r"0x[0-9a-f]+", "0x", text)


def becomes_method(thing: Any) -> bool:
    return type("Holder", (), {"attribute": thing})().attribute is not thing


class Names(pickle.Unpickler):
    """Records the names that are looked up."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.found: list[str] = []

    def find_class(self, module: str, name: str) -> Any:
        self.found.append(f"{module} {name}")
        return super().find_class(module, name)


def named_in(data: bytes, thing: Any) -> list[object]:
    """The names in the pickle *data* of *thing*, and whether it gives that again."""
    names = Names(data)
    return [names.load() is thing, *names.found]


def facts_of(thing: Any) -> Facts:
    """All that is compared, in JSON."""
    facts: Facts = {
        "type": type(thing).__qualname__,
        "repr": said(lambda: repr(thing)),
        "callable": callable(thing),
        "becomes a method": said(lambda: becomes_method(thing)),
        "is in a set": said(lambda: thing in {thing}),
        "equals": (thing == thing, thing == object()),  # noqa: PLR0124
        "copies": said(lambda: copy.copy(thing) is thing),
        "deep copies": said(lambda: copy.deepcopy(thing) is thing),
        "signature": said(lambda: inspect.signature(thing)),
        "doc": said(lambda: inspect.getdoc(thing)),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        facts[f"pickle {protocol}"] = said(lambda protocol=protocol: named_in(pickle.dumps(thing, protocol), thing))
    for name in ATTRIBUTES:
        facts[name] = said(lambda name=name: getattr(thing, name, "none"))
    for name in PREDICATES:
        facts[name] = getattr(inspect, name)(thing)
    if isinstance(thing, (MethodDescriptorType, FunctionType)) and "." in thing.__qualname__:
        facts = (
            method_facts(thing)
            if isinstance(thing, MethodDescriptorType)
            else {**facts, "as a method": method_facts(thing)}
        )
    if isinstance(thing, type):
        names = {name for each in thing.__mro__[:-1] for name in vars(each)}
        methods = {name: getattr(thing, name) for name in names if inspect.isroutine(getattr(thing, name))}
        del facts["__annotations__"]  # reading them makes them
        own = ("__sizeof__", "__new__", "__init__", "__init_subclass__", "__getattribute__", "__reduce_ex__")
        facts["methods"] = {name: method_facts(method) for name, method in methods.items() if name not in own}
    return facts


def method_facts(method: Any) -> Facts:
    """What a function of Python has in common with a method that is written in C."""
    facts: Facts = {
        "callable": callable(method),
        "isroutine": inspect.isroutine(method),
        "signature": said(lambda: inspect.signature(method)),
        "doc": said(lambda: inspect.getdoc(method)),
    }
    if getattr(method, "__self__", None) is None:  # bound to the class it is made anew each time, in Python
        facts["copies"] = said(lambda: copy.copy(method) is method)
        facts["deep copies"] = said(lambda: copy.deepcopy(method) is method)
    return facts | {
        name: said(lambda name=name: getattr(method, name)) for name in ("__name__", "__qualname__", "__doc__")
    }


def facts_of_instance(made: Any) -> Facts:
    return {
        "repr": said(lambda: repr(made)).partition(" owner")[0],
        "type": said(lambda: type(made)),
        "copy": said(lambda: copy.copy(made)),
        "deepcopy": said(lambda: copy.deepcopy(made)),
        "pickle": [said(lambda protocol=protocol: pickle.dumps(made, protocol)) for protocol in range(2, 6)],
        "old pickle is refused": [
            "Error" in said(lambda protocol=protocol: pickle.dumps(made, protocol)) for protocol in (0, 1)
        ],
        "hashes": hash(made) == hash(made),
        "equals": (made == made, made == object()),  # noqa: PLR0124
    }


def collect(targets: list[str]) -> Facts:
    return {
        "targets": {target: facts_of(resolve(target)) for target in targets},
        "instances": {target: facts_of_instance(resolve(target)()) for target in INSTANCES},
    }


def _is_ours(thing: Any, known: Collection[int] = ()) -> bool:
    """Whether *thing* runs code of ours, by whatever name it goes; of a class, not in methods of *known*."""
    from pytest_scf_async.protocol.own_code import OWN_CODE
    from pytest_scf_async.python.patches.builtin import _functions

    thing = _functions.get(id(thing), (None, thing))[1]
    thing = getattr(thing, "__func__", thing)
    if isinstance(thing, property):
        return _is_ours(thing.fget) or _is_ours(thing.fset)
    if isinstance(thing, type):
        methods = [member for member in list(vars(thing).values()) if id(member) not in known]
        functions = [member for member in methods if isinstance(member, FunctionType)]
        return bool(functions) and all(map(_is_ours, functions))
    return isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith(
        tuple(f"{OWN_CODE}{room}{os.sep}" for room in IN_INSTANCES)
    )


def unregistered() -> list[str]:
    """Attributes of modules, and of their classes, that are ours and that the registry does not have."""
    from pytest_scf_async.python.patches.registry import PATCHES

    known = {id(patch.replacement) for patch in PATCHES.values()}
    found = []
    for module_name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or module_name.startswith(OURS):
            continue
        for name, value in list(vars(module).items()):
            members = [(f"{module_name}.{name}", value)]
            if isinstance(value, type) and id(value) not in known:
                members += [(f"{module_name}.{name}.{inner}", member) for inner, member in list(vars(value).items())]
            found += [path for path, member in members if id(member) not in known and _is_ours(member, known)]
    return found


def pickles(targets: list[str]) -> dict[str, str]:
    """What can be pickled of them, by target."""
    made = {}
    for target in targets:
        try:
            made[target] = base64.b64encode(pickle.dumps(resolve(target))).decode()
        except (pickle.PicklingError, TypeError, AttributeError):
            continue
    return made


def refusals() -> dict[str, str]:
    """The errors of calls that write and read, for values that they cannot take."""
    here, there = socket.socketpair()
    strided = memoryview(b"abcd")[::2]
    with here, there, io.FileIO(0, "r", closefd=False) as readable, io.FileIO(1, "w", closefd=False) as writable:
        calls: dict[str, list[tuple[object, ...]]] = {
            "write": [(1,), (), (1, "text"), ("x", b""), ([], b""), (1, strided), (-1, b"x"), (99_999, b"x")],
            "writev": [(1,), (1, [1]), ([], [b"x"]), (-1, [b"x"])],
            "sendfile": [(), ([], 0, 0, 1), (-1, 0, 0, 1)],
            "read": [(0,), ([], 1), (99_999, 1), (-1, 1)],
            "readv": [(0,), ([], [bytearray(1)])],
            "eventfd_read": [(), ([],)],
            "send": [(), ("text",), (b"", "x"), (strided,), (b"", 0, 0)],
            "sendall": [(), ("text",), (None,), (b"", "x"), (strided,), (b"", 0, 0)],
        }
        found = {
            f"{name} {number}": said(lambda: getattr(owner, name)(*arguments))  # noqa: B023
            for name, each in calls.items()
            for owner in [here if name.startswith("send") and name != "sendfile" else os]
            for number, arguments in enumerate(each)
        }
        found["write by names"] = said(lambda: os.write(fd=1, data=b""))  # type: ignore[call-arg]
        found["write of a text"] = said(lambda: writable.write("text"))  # type: ignore[arg-type]
        found["write to what is read"] = said(lambda: readable.write(b"x"))
    found["write to what is closed"] = said(lambda: writable.write(b"x"))
    return found


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    found = {}
    for target, data in asked["pickles"].items():
        found[target] = pickle.loads(base64.b64decode(data)) == resolve(target)  # noqa: S301  (of our own instance)
    picklable = list(pickles(asked["targets"]))
    print(json.dumps({**collect(asked["targets"]), "pickles": found, "picklable": picklable}))
