"""From an HTTP request to a request of the API: its action, its common parameters, and its own ones as a tree.

There are two ways to send a request (document 46710):

- common parameters as headers (``X-TC-Action``, …), and the action's own as a JSON body or as the query of a GET;
- all parameters in one form, in the body of a POST or in the query of a GET.

What is documented nowhere was seen with the SDKs themselves. `@tencent-sdk/capi` says ``application/json`` of a form.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..errors import ScfApiError, hidden_from_users
from .form import DEEPEST, Json, form_fields, form_tree
from .http_request import HttpRequest
from .operations.error_texts import api_error

__tracebackhide__ = hidden_from_users

Language = Literal["zh-CN", "en-US"]
"""What ``X-TC-Language`` may be."""

LARGEST_GET: Final = 32 * 1024
"""Bytes of a GET's path and query (document 46710)."""
LARGEST_SIGNED_FORM: Final = 1024 * 1024
"""Bytes of a body that is signed with HmacSHA1 or HmacSHA256 (document 46710)."""
LARGEST_BODY: Final = 10 * 1024 * 1024
"""Bytes of any other body (document 46710)."""
LONGEST_INTEGER: Final = 20
"""Characters of the longest integer that has 64 bits, with its sign."""

_ALWAYS: Final = ("Action", "Version", "Timestamp")
_COMMON: Final = frozenset(
    (*_ALWAYS, "Region", "Nonce", "SecretId", "Signature", "SignatureMethod", "Token", "Language", "RequestClient")
)
"""The common parameters of a form (document 46710)."""
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_LANGUAGES: Final[Mapping[str, Language]] = {"": "zh-CN", "zh-CN": "zh-CN", "en-US": "en-US"}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request of the API, before its signature is verified and before its action is known to exist."""

    action: str
    """As in ``ListAsyncEvents``."""
    version: str
    """Of the API, as in ``2018-04-16``."""
    region: str
    """As in ``ap-guangzhou``; empty where the request has none."""
    timestamp: int
    """Whole seconds since the Unix epoch at which the client signed."""
    parameters: Mapping[str, Json]
    """Those of the action."""
    typed: bool
    """Whether values have their types (JSON); in a form and in a query all of them are texts."""
    client: str
    """What the client says of itself, as in ``SDK_PYTHON_3.1.195``; empty where it does not."""


def read_request(http: HttpRequest) -> ApiRequest:
    """What *http* asks for.

    Raises ``ScfApiError`` and nothing else: ``UnsupportedProtocol`` for a method or a content type that the platform
    does not take, ``InvalidRequest`` for multipart and for what is no HTTP, ``RequestSizeLimitExceeded``
    (``AuthFailure.SignatureFailure`` for a form over 1 MB, as the platform), ``MissingParameter`` for a common
    parameter that is not there, ``InvalidParameterValue`` for one that is none, and ``InvalidParameter`` for a body or
    a query that cannot be read.
    """
    if http.unreadable:
        raise api_error("InvalidRequest", reason=http.unreadable)
    _check_size(http)
    if has_common_headers(http):
        common = {name: http.headers.get(f"x-tc-{name.lower()}", "") for name in _COMMON}
        early = _read_common(common, "X-TC-")
        if http.method == "GET":
            return ApiRequest(*early, form_tree(sent_form(http)), False, common["RequestClient"])
        _check_content_type(http)
        return ApiRequest(*early, read_json(http.body), True, common["RequestClient"])
    if http.method == "POST" and _media_type(http) == "multipart/form-data":
        _check_content_type(http)
    fields = sent_form(http)
    early = _read_common(fields, "")
    own = {name: value for name, value in fields.items() if name not in _COMMON}
    return ApiRequest(*early, form_tree(own), False, fields.get("RequestClient", ""))


def has_common_headers(http: HttpRequest) -> bool:
    """Whether common parameters are headers, as with TC3-HMAC-SHA256; otherwise they are in a form."""
    return "x-tc-action" in http.headers or "authorization" in http.headers


def sent_form(http: HttpRequest) -> dict[str, str]:
    """The fields of the form that *http* has: the query of a GET, the body of a POST. Raises as `form_fields`."""
    if http.method == "GET":
        return form_fields(http.query.encode("latin-1", "replace"), "the query")
    return form_fields(http.body, "the body")


def language_of(http: HttpRequest) -> Language:
    """The language that *http* asks for, which may be a request that cannot be read; Chinese where it does not say."""
    asked = http.headers.get("x-tc-language", "")
    if not asked and not has_common_headers(http):
        try:
            asked = sent_form(http).get("Language", "")
        except ScfApiError:
            pass  # it is no form
    return _LANGUAGES.get(asked, "zh-CN")


def _read_common(common: Mapping[str, str], prefix: str) -> tuple[str, str, str, int]:
    """Action, version, region and timestamp of the *common* parameters, whose names have the *prefix* on the wire."""
    for name in _ALWAYS:
        if not common.get(name):
            raise api_error("MissingParameter", name=f"{prefix}{name}")
    timestamp, language = common["Timestamp"], common.get("Language", "")
    if not _TIMESTAMP.fullmatch(timestamp):
        valid = "whole seconds since 1970-01-01 00:00:00 UTC, as in 1700000000"
        raise api_error("InvalidParameterValue", name=f"{prefix}Timestamp", value=timestamp[:100], valid=valid)
    if language not in _LANGUAGES:
        valid = "it must be zh-CN or en-US"
        raise api_error("InvalidParameterValue", name=f"{prefix}Language", value=language[:100], valid=valid)
    return common["Action"], common["Version"], common.get("Region", ""), int(timestamp)


def _check_size(http: HttpRequest) -> None:
    if http.method == "GET":
        size, limit = len(http.path) + len(http.query), LARGEST_GET
    elif http.method == "POST":
        size, limit = len(http.body), LARGEST_BODY
    else:
        raise api_error("UnsupportedProtocol", what=f"The HTTP method {http.method[:100]!r}", valid="GET or POST")
    if size > limit:
        raise api_error("RequestSizeLimitExceeded", size=size, method=http.method, limit=limit)
    if http.method == "POST" and size > LARGEST_SIGNED_FORM and not has_common_headers(http):
        reason = (
            f"the body has {size} bytes, and signed with HmacSHA1 or HmacSHA256 it may have {LARGEST_SIGNED_FORM} at "
            "most; TC3-HMAC-SHA256 has the greater limit"
        )
        raise api_error("AuthFailure.SignatureFailure", reason=reason)


def _media_type(http: HttpRequest) -> str:
    return http.headers.get("content-type", "").partition(";")[0].strip(" \t").lower()


def _check_content_type(http: HttpRequest) -> None:
    """A POST with common headers has JSON. A form has to be signed with HmacSHA1 or HmacSHA256 (document 46710)."""
    media_type = _media_type(http)
    if media_type == "multipart/form-data":
        raise api_error("InvalidRequest", reason=f"its body is {media_type}, and no action takes that")
    if media_type != "application/json":
        what = f"The Content-Type {media_type[:100]!r} of a POST with the header X-TC-Action or Authorization"
        raise api_error("UnsupportedProtocol", what=what, valid="application/json")


class _Refused(Exception):
    """What is wrong inside the JSON text, as the *valid* of InvalidParameter."""


def read_json(body: bytes) -> dict[str, Json]:
    """The object that *body* is. Raises ``ScfApiError`` (``InvalidParameter``)."""
    try:
        text = body.decode()
        found = _DECODER.decode(text)
        if not isinstance(found, dict):
            raise _Refused("a JSON object")
        _check_values(found)
    except _Refused as error:
        valid = str(error)
    except RecursionError:
        valid = _TOO_DEEP
    except UnicodeDecodeError:
        valid = "JSON in UTF-8"
    except ValueError:  # no JSON, and an integer with more digits than Python converts
        valid = "JSON, and nothing else is before or after it"
    else:
        return found
    raise api_error("InvalidParameter", name="the body", valid=valid)


_TOO_DEEP: Final = f"JSON with {DEEPEST} lists and objects in each other at most"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Refused("JSON whose objects have each name once")
    return found


def _integer(text: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise _Refused("JSON whose integers have 64 bits at most")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Refused("JSON whose numbers fit into 64 bits")
    return number


def _constant(text: str) -> float:
    raise _Refused(f"JSON, which has no {text}")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def _check_values(root: dict[str, Any]) -> None:
    """Refuse texts that are not Unicode or have NUL, wherever they are, and what is nested too deeply."""
    level: list[Any] = [root]
    depth = 0
    while level:
        inner: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, dict):
                inner += value
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        depth += 1
        if depth > DEEPEST + 1:
            raise _Refused(_TOO_DEEP)
        level = inner


def _check_text(text: str) -> None:
    if "\0" in text:
        raise _Refused("JSON whose strings have no NUL")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Refused("JSON whose strings are Unicode: there is half of a surrogate pair") from None
