"""What a test's ``scf_function`` markers say, taken together."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

import pytest

from ..errors import ScfUsageError, did_you_mean, refusal_of
from ..options import Where, options_of

if TYPE_CHECKING:
    from ..async_event import AsyncEvent
    from ..function import Function
    from ..runtime import ScfRuntime

MARKER: Final = "scf_function"
MARKER_SOURCE: Final = "scf_function marker"
MARKER_FORM: Final = '@pytest.mark.scf_function("handlers/export.py:main_handler", payload={"rows": 3}, timeout=60)'


def marked(node: pytest.Item, fixture: str) -> dict[str, Any]:
    """The keywords of all markers of the test, ``code`` among them; the closest marker wins."""
    markers = list(node.iter_markers(MARKER))
    if not markers:
        near = difflib.get_close_matches(MARKER, [each.name for each in node.iter_markers()], 1)
        what_to_do = f"it has one named {near[0]!r}: did you mean {MARKER!r}?" if near else f"add one: {MARKER_FORM}"
        raise pytest.UsageError(
            f"{node.nodeid} uses the fixture {fixture} but has no scf_function marker; {what_to_do}"
        )
    options = options_of(Where.DEPLOY)
    valid = [*(option.name for option in options), "payload"]
    merged: dict[str, Any] = {}
    for marker in reversed(markers):
        keywords = dict(marker.kwargs)
        for name in keywords:
            if name not in valid:
                raise pytest.UsageError(
                    f"{node.nodeid}: its scf_function marker has the keyword {name!r}{did_you_mean(name, valid)} "
                    f"(valid keywords: {', '.join(valid)})"
                )
        if len(marker.args) > 1 or (marker.args and "code" in keywords):
            more = [*marker.args, *([keywords["code"]] if "code" in keywords else [])]
            raise pytest.UsageError(
                f"{node.nodeid}: its scf_function marker names {len(more)} functions, "
                f"{', '.join(map(repr, more))}; it takes one, as in {MARKER_FORM}"
            )
        if marker.args:
            keywords["code"] = marker.args[0]
        for option in options:
            if option.goes_with in keywords:  # it belongs to what is replaced
                merged.pop(option.name, None)
        merged.update(keywords)
    if "code" not in merged:
        raise pytest.UsageError(
            f"{node.nodeid}: its scf_function marker names no handler; give a handler first, as in {MARKER_FORM}"
        )
    return merged


def refuse_direct_parametrize(metafunc: pytest.Metafunc) -> None:
    """Raise for ``parametrize("async_event", ...)`` without ``indirect``: its values would take the event's place.

    Only where the test has an ``scf_function`` marker: in another's tests the name may mean anything.
    """
    node = metafunc.definition
    if node.get_closest_marker(MARKER) is None:
        return
    for marker in node.iter_markers("parametrize"):
        given = marker.args[0] if marker.args else marker.kwargs.get("argnames", ())
        names = [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)
        indirect = marker.args[2] if len(marker.args) > 2 else marker.kwargs.get("indirect", False)
        payloads = indirect if isinstance(indirect, bool) else "async_event" in indirect
        if "async_event" in names and not payloads:
            form = True if len(names) == 1 else ["async_event"]
            raise pytest.Collector.CollectError(
                f"{node.nodeid}: the values that parametrize has for async_event are payloads only with "
                f"indirect={form}: parametrize({given!r}, [...], indirect={form})"
            )


def deploy_marked(request: pytest.FixtureRequest, runtime: ScfRuntime) -> Function:
    """Deploy the function of the test's marker."""
    keywords = marked(request.node, "async_event" if "async_event" in request.fixturenames else "scf_function")
    keywords.pop("payload", None)
    try:
        with runtime._deploys_for(MARKER_SOURCE):
            return runtime.deploy(keywords.pop("code"), **keywords)
    except ScfUsageError as error:
        by = "" if refusal_of(error) else "its scf_function marker: "  # a refusal names its source
        raise pytest.UsageError(f"{request.node.nodeid}: {by}{error}") from None


def invoke_marked(request: pytest.FixtureRequest, function: Function) -> AsyncEvent:
    """Invoke *function* with the payload of the test's marker, or of ``parametrize``."""
    payload, source = None, MARKER_SOURCE
    if hasattr(request, "param"):
        payload, source = request.param, "parametrize of async_event"
    elif request.node.get_closest_marker(MARKER) is not None:
        payload = marked(request.node, "async_event").get("payload")
    try:
        return function.invoke_async(payload)
    except ScfUsageError as error:
        raise pytest.UsageError(f"{request.node.nodeid}: async_event ({source}): {error}") from None
