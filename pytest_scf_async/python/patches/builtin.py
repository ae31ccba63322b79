"""Built-in functions that call a function of Python, as replacements of functions that are written in C.

A function of Python in such a place shows: it becomes a method as an attribute of a class, has another type and another
signature, and is pickled by another name. What is made here is a genuine ``builtin_function_or_method``. Its C code is
a call of the C API in its own form: a built-in function gets (self, arguments, keywords), and ``PyObject_Call`` and
``PyObject_Vectorcall`` take (callable, arguments, keywords). So either machine code puts the function of Python in the
place of ``self`` and goes on there; or, where it cannot be had, ``self`` is what is called. That is a module then, as
otherwise pickles and ``__qualname__`` name its class, and a call takes longer, by about 50 ns.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

_METH_VARARGS, _METH_KEYWORDS, _METH_FASTCALL = 0x0001, 0x0002, 0x0080


class _MethodDef(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("code", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


_definitions: list[_MethodDef] = []
"""Kept as long as the process lives, as the functions point to them."""
_functions: dict[int, tuple[Any, Callable[..., Any]]] = {}
"""By identity, each function that was made and what it calls: machine code keeps no reference."""
_machine_code = False


def use_machine_code() -> None:
    """Use machine code for calls from here on, if there is some for this processor."""
    global _machine_code
    _machine_code = platform.machine() == "x86_64"


def documentation(original: Any) -> str | None:
    """The documentation of *original* as C code has it, with the signature in front."""
    doc: str | None = original.__doc__
    signature = getattr(original, "__text_signature__", None)
    return doc if signature is None else f"{original.__name__}{signature}\n--\n\n{doc or ''}"


def built_in(original: BuiltinFunctionType, function: Callable[..., Any]) -> Any:
    """A built-in function that has the name, signature and documentation of *original*, and calls *function*."""
    api = ctypes.pythonapi
    of: Any = original.__self__
    flags, code = _METH_FASTCALL, 0
    if _machine_code and hasattr(api, "PyObject_Vectorcall"):
        code = _calling(function, _address(api.PyObject_Vectorcall))
    elif _machine_code and isinstance(function, FunctionType):  # in Python 3.10 the other is a macro
        code = _calling(function, _address(api._PyFunction_Vectorcall))
    if not code:
        flags, code = _METH_VARARGS, _address(api.PyObject_Call)
        of = _callable_module(original, function)
    doc = documentation(original)
    definition = _MethodDef(
        original.__name__.encode(), code, flags | _METH_KEYWORDS, None if doc is None else doc.encode()
    )
    _definitions.append(definition)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object)(
        ("PyCFunction_NewEx", api)
    )
    made = make(ctypes.addressof(definition), of, original.__module__)
    _functions[id(made)] = made, function
    return made


def _callable_module(original: BuiltinFunctionType, function: Callable[..., Any]) -> ModuleType:
    owner: Any = original.__self__
    kind = type(original.__name__, (ModuleType,), {"__call__": staticmethod(function)})
    module: ModuleType = kind(getattr(owner, "__name__", original.__module__))
    module.__spec__ = getattr(owner, "__spec__", None)  # it is in a module's repr
    return module


@functools.cache
def _libc() -> ctypes.CDLL:
    """Opened once, before what user code opens is noticed (``c_code``)."""
    return ctypes.CDLL(None)


def _calling(function: Callable[..., Any], target: int) -> int:
    """The address of machine code that calls *target* with *function* as its first argument; 0 where it is refused.

    It has a page of its own, which is written before it can be executed: another thread may be in the code of others.
    """
    code = (
        *(b"\x49\xbb", target.to_bytes(8, "little")),  # mov r11, target
        *(b"\x48\xbf", id(function).to_bytes(8, "little")),  # mov rdi, function
        b"\x41\xff\xe3",  # jmp r11
    )
    libc = _libc()
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    page = libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE, private, -1, 0)
    if page is None or page == ctypes.c_void_p(-1).value:
        return 0
    ctypes.memmove(page, b"".join(code), sum(map(len, code)))
    return int(page) if libc.mprotect(page, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC) == 0 else 0


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
