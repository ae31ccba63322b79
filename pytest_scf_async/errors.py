"""Every error of the package. Who is at fault decides the class: the test, the handler, the platform's rules, or us."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, ParamSpec, Protocol, TypeVar


class ScfAsyncError(Exception):
    """The base of all errors of this package; never raised itself."""

    def __init__(self, message: str) -> None:
        if type(self) is ScfAsyncError:
            raise TypeError("ScfAsyncError is a base class: raise one of its subclasses")
        super().__init__(message)


class Refusal(NamedTuple):
    """Which value was refused and why, as facts: the platform's operations make an error of their own of them."""

    name: str
    """That of the option."""
    value: Any
    """None where it may be a secret."""
    valid: str
    """A sentence."""
    code: str
    """The platform's error code; empty where the platform has no such option."""


class ScfUsageError(ScfAsyncError):
    """The test asked for something that cannot be: the message has the value, its source and what is valid."""

    def __init__(self, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self._refusal = refusal


def refusal_of(error: ScfUsageError) -> Refusal | None:
    """What *error* refused, where that is one value."""
    return error._refusal


class UnsupportedPlatformError(ScfUsageError):
    """Instances cannot run on this machine (they need Linux)."""


class CannotEndError(ScfAsyncError):
    """A blocking call could not end: the message says what each instance is doing and what to do about it."""


class GateNotReachedError(ScfAsyncError):
    """An event ended without reaching the gate that the test waited for; the message has its timeline."""


class HandlerError(ScfAsyncError):
    """The user's function failed, was aborted, or has not ended, so that it has no result.

    ``body`` is the platform's error body (``{"errorCode": …, "errorMessage": …, "statusCode": …}``, document 42611), or
    an empty dict while the event runs.
    """

    def __init__(self, message: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.body: dict[str, Any] = dict(body or {})


class ScfApiError(ScfAsyncError):
    """The platform refused an operation: ``code`` is its code as on the wire (``ResourceNotFound.AsyncEvent``).

    ``platform_message`` is the platform's; the text of the error may add a *hint* for the test.
    """

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"{code}: {message}" + (f" ({hint})" if hint else ""))
        self.code = code
        self.platform_message = message


class HarnessError(ScfAsyncError):
    """The harness itself failed: a bug of ours, or the machine took a process away from us."""


class ScfAsyncWarning(UserWarning):
    """Something that the documents leave open, or that this machine cannot give, was decided for the test."""


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """``"; did you mean 'timeout'?"`` for a *name* that is like a *valid* one in any case, otherwise nothing."""
    near = near_name(name, valid)
    return f"; did you mean {near!r}?" if near else ""


def near_name(name: str, valid: Iterable[str]) -> str:
    """The one of the *valid* names that is most like *name*, in any case; empty where none is."""
    import difflib  # noqa: PLC0415  (only where something is wrong: errors is imported by everybody)

    folded, known = name.casefold(), {each.casefold(): each for each in valid}
    near = [each for each in known if len(folded) >= 3 and each.startswith(folded)]
    near = [folded] if folded in known else near or difflib.get_close_matches(folded, known, 1)
    if not near:  # the beginning may be right, and the rest another word for the same: graceful, grace_shutdown
        beginning = folded[: max(SAME_BEGINNING, len(folded) // 2 + 1)]
        near = [each for each in known if len(folded) > SAME_BEGINNING and each.startswith(beginning)]
    return known[near[0]] if near else ""


SAME_BEGINNING = 5
"""How many characters two names have to begin with, and more than half of one, to be taken for each other."""


class Given(NamedTuple):
    """A value by the name and from the place that it was given: what the error says that refuses it."""

    name: str
    value: Any
    source: str = ""
    """Where it came from; empty where that says nothing."""
    none: bool = False
    """Whether None is valid, too."""

    def refuse(self, sentence: str, code: str = "") -> NoReturn:
        """Raise the ``ScfUsageError``; *sentence* says what is valid, *code* is the platform's for such a value."""
        __tracebackhide__ = hidden_from_users
        raise ScfUsageError(
            f"{self.name}={self.value!r}{self.shown_source} is not valid: {sentence}",
            Refusal(self.name, self.value, sentence, code),
        )

    def has_to_be(self, valid: str) -> NoReturn:
        """The same where *valid* names the values."""
        __tracebackhide__ = hidden_from_users
        self.refuse(f"it must be {'None, or ' if self.none else ''}{valid}")

    @property
    def shown_source(self) -> str:
        return f" ({self.source})" if self.source else ""


_CHECKED = "_scf_async_keywords"
"""The attribute of what ``keywords_named`` has made."""
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def keywords_named(
    call: str, unnamed: tuple[str, ...] = (), *, notes: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Callable[_Parameters, _Result]], Callable[_Parameters, _Result]]:
    """Have a method or function refuse, as *call*, what Python would refuse without valid keywords (``ScfUsageError``).

    That is a keyword that it does not have, for which a near one is named, one that is given twice, one that is
    missing, and too many values without a keyword. A method with ``**`` deals with keywords that it does not have
    itself. Those in *unnamed* are there, and not for users. *notes* say of keywords that it does not have what to do
    instead.
    """

    def decorate(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        own = inspect.unwrap(function)
        code = own.__code__
        bound = int(code.co_varnames[:1] == ("self",))
        names = code.co_varnames[bound : code.co_argcount + code.co_kwonlyargcount]
        in_order = names[: code.co_argcount - bound]
        required = in_order[: len(in_order) - len(own.__defaults__ or ())]
        needed = [name for name in names[len(in_order) :] if name not in (own.__kwdefaults__ or {})]
        takes_others = bool(code.co_flags & inspect.CO_VARKEYWORDS)
        valid = [each for each in names if each not in unnamed]

        def why_refused(values: tuple[object, ...], keywords: Mapping[str, object]) -> str:
            for name in () if takes_others else keywords:
                if name not in names:
                    note = f": {notes[name]}" if name in notes else ""
                    which = f"{did_you_mean(name, valid)} (valid keywords: {', '.join(valid)})" if valid else ""
                    return f"has no keyword {name!r}{which}{note}"
            for name, value in zip(in_order, values, strict=False):
                if name in keywords:
                    others = ", ".join(each for each in valid if each != name)
                    return (
                        f"has {name} twice: {value!r} by position and {keywords[name]!r} by keyword "
                        f"(the other keywords are {others})"
                    )
            if len(values) > len(in_order):
                more = ", ".join(map(repr, values[len(in_order) :]))
                others = ", ".join(each for each in valid if each not in in_order)
                return f"takes only {', '.join(in_order)} by position, and also got {more}" + (
                    f" (the keywords are {others})" if others else ""
                )
            for name in required[len(values) :]:
                if name not in keywords:
                    return f"needs {name}, its argument number {in_order.index(name) + 1}"
            for name in needed:
                if name not in keywords:
                    return f"needs the keyword {name}"
            return ""

        @functools.wraps(function)
        def checked(*args: _Parameters.args, **keywords: _Parameters.kwargs) -> _Result:
            __tracebackhide__ = True  # it has nothing to show, whatever comes through it
            why = why_refused(args[bound:], keywords)
            if why:
                raise ScfUsageError(f"{call} {why}")
            return function(*args, **keywords)

        setattr(checked, _CHECKED, True)
        return checked

    return decorate


_Class = TypeVar("_Class")


def constructor_named(unnamed: tuple[str, ...] = ()) -> Callable[[type[_Class]], type[_Class]]:
    """The same for what makes an object of a class."""

    def decorate(of: type[_Class]) -> type[_Class]:
        setattr(of, "__init__", keywords_named(of.__name__, unnamed)(of.__init__))  # noqa: B010  (typed for mypy)
        return of

    return decorate


def calls_named(of: type[_Class]) -> type[_Class]:
    """Have all public methods of a class do what ``keywords_named`` does, each with its own name."""
    for name, value in list(vars(of).items()):
        if inspect.isfunction(value) and not name.startswith("_") and not hasattr(value, _CHECKED):
            setattr(of, name, keywords_named(f"{name}({'...' * takes_arguments(value)})")(value))
    return of


def takes_arguments(function: Callable[..., object]) -> bool:
    """Whether a function or method can be called with a value."""
    return not {*inspect.signature(function).parameters} <= {"self"}


SHOWN = "_scf_async_shown"
"""The attribute of an ``AssertionError`` of ours: the id of the event whose timeline its text has."""


class _ExceptionInfo(Protocol):
    @property
    def value(self) -> BaseException: ...
    def errisinstance(self, exc: type[BaseException], /) -> bool: ...


def hidden_from_users(excinfo: _ExceptionInfo) -> bool:
    """Whether pytest leaves frames of ours out of a traceback: the ``__tracebackhide__`` of modules that users call.

    An error that is the test's, the handler's or the platform's is shown at the user's own line, and so is a warning of
    ours under ``-W error``. A ``HarnessError``, and whatever else comes out of us, is for us to read, with all frames.
    """
    ours = excinfo.errisinstance(ScfAsyncError) or excinfo.errisinstance(ScfAsyncWarning)
    return (ours and not excinfo.errisinstance(HarnessError)) or hasattr(excinfo.value, SHOWN)


for _error in [each for each in globals().values() if isinstance(each, type) and issubclass(each, Exception)]:
    _error.__module__ = __package__  # messages name it as users import it
