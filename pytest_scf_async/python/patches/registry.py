"""The registry of patches: all that an instance has in the place of something else, in order, each with the reason.

Nothing is patched past it, and each target once: a second layer would call the first, in an order that nobody has
chosen, and what an ``os.kill`` does would have to be read in two files. Who else wants to know of a call subscribes to
the module that patches it, as ``process_ends`` does to ``signals``. ``tools/check_patches.py`` holds both.

To everybody else a replacement is what it replaces: it has the type, name, signature, documentation and pickle of the
original, and stands wherever the original's own module keeps it. A pickle names the original, which is what a process
without patches finds under that name.
"""

from __future__ import annotations

import ctypes
import gc
import operator
import sys
from collections.abc import Mapping
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

    __slots__ = ("imitates", "name", "original", "owner", "replacement", "why")

    def __init__(self, owner: Any, name: str, original: Any, replacement: Any, why: str, *, imitates: bool) -> None:
        self.owner = owner
        self.name = name
        self.original = original
        self.replacement = replacement
        self.why = why
        self.imitates = imitates

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
    original = getattr(owner, name)
    made = _like(original, replacement)
    if isinstance(owner, type) and isinstance(made, FunctionType) and not hasattr(original, "__module__"):
        made.__module__ = owner.__module__  # a method that is written in C has none, and is pickled by its class
    _add(Patch(owner, name, original, made, why, imitates=True))
    if isinstance(owner, ModuleType):
        home = sys.modules.get(getattr(original, "__module__", None) or "")
        for module in {id(each): each for each in (owner, home) if each is not None}.values():
            rebind_references(module, {id(original): made})
    setattr(owner, name, made)
    return made


def rebind(owner: Any, name: str, value: Any, why: str) -> None:
    """Have the attribute *name* of *owner*, which it alone uses, be *value*: it need not look like what was there."""
    _add(Patch(owner, name, getattr(owner, name, None), value, why, imitates=False))
    setattr(owner, name, value)


def rebind_references(module: ModuleType, replacements: Mapping[int, Any]) -> None:
    """Have the names of *module* that refer to an original refer to its replacement, by the original's identity."""
    for name, value in list(vars(module).items()):
        if id(value) in replacements:
            setattr(module, name, replacements[id(value)])


def replace_method(owner: type, name: str, function: Any, why: str) -> None:
    """Have *function* be the method *name* of *owner*, a class written in C, for all objects of it whoever makes them.

    Such a class refuses new attributes, so they go into the dictionary behind it.
    """
    original = vars(owner)[name]
    _imitate_function(original, function)
    function.__module__ = owner.__module__
    _add(Patch(owner, name, original, function, why, imitates=True))
    (attributes,) = gc.get_referents(vars(owner))
    attributes[name] = function
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))


def replacements() -> dict[int, Any]:
    """By the identity of the original, what has come into its place."""
    return {id(patch.original): patch.replacement for patch in PATCHES.values() if patch.imitates}


def _add(patch: Patch) -> None:
    """Add *patch*; it is refused where its target is patched. A module that is imported anew is not."""
    known = PATCHES.get(patch.target)
    if known is not None and known.replacement is patch.original:
        raise RuntimeError(f"{patch.target} is patched twice: ({known.why}) and ({patch.why})")
    PATCHES[patch.target] = patch


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
