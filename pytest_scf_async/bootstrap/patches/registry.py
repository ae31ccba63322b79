"""The registry of patches: all that an instance has in the place of something else, in order, each with the reason.

Nothing is patched past it. To everybody else a replacement is what it replaces: it has the type, name, signature,
documentation and pickle of the original, and stands wherever the original's own module keeps it. A pickle names the
original, which is what a process without patches finds under that name.
"""

from __future__ import annotations

import ctypes
import gc
import operator
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from .builtin import built_in

_TAKES_ANY = 0x04
"""The flag of code with ``*args``."""
_SHOWN = ("__name__", "__qualname__", "__module__", "__doc__")


class Patch:
    """One attribute of a module or class that is not what it was.

    ``imitates``: to everybody else it is what it replaces; else it is a name that only its own module uses.
    """

    __slots__ = ("imitates", "layers", "name", "original", "owner")

    def __init__(self, owner: Any, name: str, original: Any, *, imitates: bool) -> None:
        self.owner = owner
        self.name = name
        self.original = original
        self.imitates = imitates
        self.layers: list[tuple[Any, str]] = []
        """Each replacement and its reason: a later patch of the same target calls what was there before it."""

    @property
    def replacement(self) -> Any:
        """What stands there now."""
        return self.layers[-1][0]

    @property
    def target(self) -> str:
        """As in ``os.fork``."""
        owner = self.owner
        path = owner.__name__ if isinstance(owner, ModuleType) else f"{owner.__module__}.{owner.__qualname__}"
        return f"{path}.{self.name}"


PATCHES: dict[str, Patch] = {}
"""By target, in order."""


def replace(owner: Any, name: str, replacement: Any, why: str) -> Any:
    """Put *replacement*, made to look like the original, into the place of the attribute *name* of *owner*.

    It comes into the original's own module, too: ``os.fork`` is that of ``posix``. Returns what stands there.
    """
    before = getattr(owner, name)
    patch = _noted(owner, name, before, imitates=True)
    made = _like(patch.original, replacement)
    if isinstance(owner, type) and isinstance(made, FunctionType) and not hasattr(patch.original, "__module__"):
        made.__module__ = owner.__module__  # a method that is written in C has none, and is pickled by its class
    patch.layers.append((made, why))
    if isinstance(owner, ModuleType):
        home = sys.modules.get(getattr(patch.original, "__module__", None) or "")
        for module in {id(each): each for each in (owner, home) if each is not None}.values():
            for attribute, value in list(vars(module).items()):
                if value is before:
                    setattr(module, attribute, made)
    setattr(owner, name, made)
    return made


def rebind(owner: Any, name: str, value: Any, why: str) -> None:
    """Have the attribute *name* of *owner*, which it alone uses, be *value*: it need not look like what was there."""
    patch = _noted(owner, name, getattr(owner, name, None), imitates=False)
    patch.layers.append((value, why))
    setattr(owner, name, value)


def replace_method(owner: type, name: str, function: Any, why: str) -> None:
    """Have *function* be the method *name* of *owner*, a class written in C, for all objects of it whoever makes them.

    Such a class refuses new attributes, so they go into the dictionary behind it.
    """
    patch = _noted(owner, name, vars(owner)[name], imitates=True)
    _imitate_function(patch.original, function)
    function.__module__ = owner.__module__
    patch.layers.append((function, why))
    (attributes,) = gc.get_referents(vars(owner))
    attributes[name] = function
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))


def replacements() -> dict[int, Any]:
    """By the identity of the original, what has come into its place."""
    return {id(patch.original): patch.replacement for patch in PATCHES.values() if patch.imitates}


def _noted(owner: Any, name: str, before: Any, *, imitates: bool) -> Patch:
    patch = Patch(owner, name, before, imitates=imitates)
    return PATCHES.setdefault(patch.target, patch)


def _like(original: Any, replacement: Any) -> Any:
    if isinstance(original, type) and isinstance(replacement, type):
        imitate(original, replacement)
        return replacement
    if isinstance(original, BuiltinFunctionType) and isinstance(original.__self__, ModuleType):
        return built_in(original, replacement)
    if isinstance(replacement, FunctionType):
        _imitate_function(original, replacement)
    return replacement


def _imitate_function(original: Any, function: Any) -> None:
    for attribute in _SHOWN:
        if hasattr(original, attribute):
            setattr(function, attribute, getattr(original, attribute))
    vars(function).clear()
    vars(function).update(getattr(original, "__dict__", {}))
    function.__annotations__ = dict(getattr(original, "__annotations__", {}))
    if getattr(original, "__text_signature__", None) and function.__code__.co_flags & _TAKES_ANY:
        function.__wrapped__ = original  # it takes any arguments, so that the original can refuse them itself


def imitate(original: Any, made: Any) -> None:
    """Let the class *made* and its methods look like the class *original*, which is written in C."""
    for attribute in _SHOWN:
        setattr(made, attribute, getattr(original, attribute))
    names: dict[FunctionType, str] = {}
    for name, member in list(vars(made).items()):
        function = getattr(member, "__func__", member)  # of a class method
        if not isinstance(function, FunctionType) or not hasattr(original, name):
            continue
        if names.setdefault(function, name) != name:  # it has a second name, and may be called by it alone
            defaults, by_name = function.__defaults__, function.__kwdefaults__
            function = FunctionType(function.__code__, function.__globals__, name, defaults, function.__closure__)
            function.__kwdefaults__ = by_name
            setattr(made, name, function)
        _imitate_function(getattr(original, name), function)
        function.__qualname__ = f"{original.__qualname__}.{name}"
    if original.__reduce_ex__ is object.__reduce_ex__ and original.__reduce__ is object.__reduce__:
        made.__reduce_ex__ = _refuse_pickle


def _refuse_pickle(self: object, protocol: Any, /) -> Any:
    """As for all objects with a state in C: ``copy`` takes this way, too."""
    kind = type(self)
    name = f"{kind.__module__}.{kind.__qualname__}" if operator.index(protocol) > 1 else kind.__name__
    raise TypeError(f"cannot pickle {name!r} object")
