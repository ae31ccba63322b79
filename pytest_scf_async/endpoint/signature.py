"""Who signed a request, and whether the signature is right.

There are two families (document 46710). TC3-HMAC-SHA256 signs the method, the query, some headers and a hash
of the body, and is in the header ``Authorization``. HmacSHA1 and HmacSHA256 sign all fields of a form, and are one of
them.

What a client signs is not always what it sends, where the endpoint is not at ``/`` of a host on its default port. The
platform is, so that all of these forms are right there, and they are here:

- the SDK of Node.js signs the host without its port, and the path;
- those of Python, Go and Java sign ``/``, whatever the path;
- the document has values of headers in lower case, and the SDKs leave them as they are;
- the SDK of Go leaves empty fields of a form out of what it signs (``Language=``), and other SDKs do not.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from hashlib import sha256
from typing import Final

from ..errors import ScfApiError, hidden_from_users
from ..model.credentials import CREDENTIALS_LIFETIME_US, role_credentials
from .http_request import HttpRequest
from .operations.error_texts import api_error
from .request import ApiRequest, has_common_headers, sent_form

__tracebackhide__ = hidden_from_users

LONGEST_SKEW: Final = 300
"""Seconds by which a client's clock may differ (document 46710)."""

_ALGORITHM: Final = "TC3-HMAC-SHA256"
_NEEDED_HEADERS: Final = ("content-type", "host")
_UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
_PORT: Final = re.compile(r":[0-9]+\Z")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Credential:
    """A key of an account, or a temporary one, which has a token."""

    secret_id: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    """Which a request has to carry; None for a key that is not temporary."""
    expires_us: int | None = None
    """The simulated time, in microseconds since the Unix epoch, from which it is refused; None: never."""


class Credentials:
    """The keys that an endpoint knows, by their ids."""

    def __init__(self, *credentials: Credential) -> None:
        self._by_id = {each.secret_id: each for each in credentials}

    def add(self, credential: Credential) -> None:
        """Know *credential* from now on, in the place of an earlier one with the same id."""
        self._by_id[credential.secret_id] = credential

    def find(self, secret_id: str) -> Credential | None:
        """The one with that id, of an account or of the role of a function; None where there is none."""
        return self._by_id.get(secret_id) or _of_a_role(secret_id)


def _of_a_role(secret_id: str) -> Credential | None:
    """The temporary key that events of functions find in their environment: its id ends with the time of its end."""
    try:
        until = datetime.strptime(secret_id.rpartition("-")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    expires_us = (until - _EPOCH) // timedelta(microseconds=1)
    issued = role_credentials(expires_us - CREDENTIALS_LIFETIME_US)
    if issued["TENCENTCLOUD_SECRETID"] != secret_id:
        return None
    return Credential(secret_id, issued["TENCENTCLOUD_SECRETKEY"], issued["TENCENTCLOUD_SESSIONTOKEN"], expires_us)


def verify(
    http: HttpRequest,
    request: ApiRequest,
    credentials: Credentials,
    *,
    real_seconds: float,
    simulated_seconds: float,
) -> str:
    """The id of the key that signed a request; *request* is what `read_request` made of *http*.

    The time of signing is that of the test's process or that of an instance, so it may be near either of the two
    clocks, both in seconds since the Unix epoch.

    Raises ``ScfApiError``: ``AuthFailure.InvalidAuthorization`` for a header that is malformed, or that says ``SKIP``;
    ``MissingParameter`` where there is no signature at all; ``AuthFailure.SignatureExpire`` for a time over five
    minutes away; ``AuthFailure.SecretIdNotFound``; ``AuthFailure.TokenFailure`` for a token that is missing, wrong,
    expired, or of a key that has none; ``AuthFailure.SignatureFailure``. ``AuthFailure.InvalidSecretId`` is for keys of
    another kind than that of the API (document 30771); there are none here, and the platform answers with
    ``SecretIdNotFound`` for any other text.
    """
    signed = _Tc3.of(http) if has_common_headers(http) else _SignedForm.of(http)
    _check_time(request, signed.time_name, real_seconds, simulated_seconds)
    signed.check_scope(request.timestamp)
    credential = credentials.find(signed.secret_id)
    if credential is None:
        raise api_error("AuthFailure.SecretIdNotFound", secret_id=_shortened(signed.secret_id))
    _check_token(credential, signed.token, simulated_seconds)
    if not signed.is_right(credential.secret_key):
        raise signed.failure()
    return credential.secret_id


class _Tc3:
    """A signature by TC3-HMAC-SHA256, of which no more is known than that its header is well-formed."""

    time_name: Final = "X-TC-Timestamp"

    def __init__(self, http: HttpRequest, scope: list[str], signed_headers: str, signature: str) -> None:
        self.secret_id, self._date, self._service, _ = scope
        self.token = http.headers.get("x-tc-token", "")
        self._http = http
        self._signed_headers = signed_headers
        self._signature = _bytes(signature)

    @classmethod
    def of(cls, http: HttpRequest) -> _Tc3:
        authorization = http.headers.get("authorization", "")
        if not authorization:
            raise api_error("MissingParameter", name="Authorization")
        if authorization == "SKIP":
            raise _malformed("it is SKIP, and requests must be signed")
        algorithm, _, rest = authorization.partition(" ")
        if algorithm != _ALGORITHM:
            raise _malformed(f"it begins with {algorithm[:50]!r}, and the only method is {_ALGORITHM}")
        parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        for name in ("Credential", "SignedHeaders", "Signature"):
            if not parts.get(name):
                raise _malformed(f"it has no `{name}`")
        scope = parts["Credential"].split("/")
        if len(scope) != 4 or not all(scope) or scope[3] != "tc3_request":
            raise _malformed("`Credential` is SecretId/Date/Service/tc3_request")
        names = parts["SignedHeaders"].split(";")
        for name in _NEEDED_HEADERS:
            if name not in names:
                raise _malformed(f"`SignedHeaders` must include {name}")
        for name in names:
            if name not in http.headers:
                raise _malformed(f"`SignedHeaders` has {name[:50]!r}, which is not a header of the request")
        return cls(http, scope, parts["SignedHeaders"], parts["Signature"])

    def check_scope(self, timestamp: int) -> None:
        """The date is that of the timestamp in UTC. Any service is right: the SDK of Node.js makes it of the host."""
        date = _date(timestamp // 86_400)
        if self._date != date:
            raise _malformed(
                f"`Date` in Credential not valid: it is {self._date[:20]!r}, and X-TC-Timestamp is on {date} in UTC"
            )

    def is_right(self, secret_key: str) -> bool:
        key = _signing_key(secret_key, self._date, self._service)
        head = f"{_ALGORITHM}\n{self._http.headers['x-tc-timestamp']}\n{self._date}/{self._service}/tc3_request\n"
        start = _bytes(head)
        return any(
            hmac.compare_digest(
                hmac.digest(key, start + sha256(canonical).hexdigest().encode(), "sha256").hex().encode(),
                self._signature,
            )
            for canonical in self._canonical_requests()
        )

    def _canonical_requests(self) -> Iterator[bytes]:
        """What may have been signed, each once: first what the SDKs of most languages sign."""
        http = self._http
        headers = http.headers
        unsigned = headers.get("x-tc-content-sha256") == _UNSIGNED_PAYLOAD
        payload = sha256(_UNSIGNED_PAYLOAD.encode() if unsigned else http.body).hexdigest()
        query = http.query if http.method == "GET" else ""
        names = self._signed_headers.split(";")
        seen: set[str] = set()
        for path in ("/", http.path):
            for host in (headers["host"], _PORT.sub("", headers["host"])):
                lines = "".join(f"{name}:{(host if name == 'host' else headers[name]).strip()}\n" for name in names)
                for values in (lines, lines.lower()):
                    text = f"{http.method}\n{path}\n{query}\n{values}\n{self._signed_headers}\n{payload}"
                    if text not in seen:
                        seen.add(text)
                        yield _bytes(text)

    def failure(self) -> ScfApiError:
        canonical = next(self._canonical_requests()).decode("latin-1")
        reason = f"it is not that of the canonical request {canonical[:1000]!r}, or of another SecretKey"
        return api_error("AuthFailure.SignatureFailure", reason=reason)


class _SignedForm:
    """A signature by HmacSHA1 or HmacSHA256, of which no more is known than that it is there."""

    time_name: Final = "Timestamp"

    def __init__(self, http: HttpRequest, fields: dict[str, str]) -> None:
        self._signature = _bytes(fields.pop("Signature"))
        self.secret_id = fields["SecretId"]
        self.token = fields.get("Token", "")
        self._http = http
        self._fields = sorted(fields.items())
        self._digest = "sha256" if fields.get("SignatureMethod") == "HmacSHA256" else "sha1"  # any other text

    @classmethod
    def of(cls, http: HttpRequest) -> _SignedForm:
        fields = sent_form(http)
        for name in ("SecretId", "Nonce", "Signature"):
            if not fields.get(name):
                raise api_error("MissingParameter", name=name)
        return cls(http, fields)

    def check_scope(self, timestamp: int) -> None:
        """It has none."""

    def is_right(self, secret_key: str) -> bool:
        key = secret_key.encode()
        return any(
            hmac.compare_digest(base64.b64encode(hmac.digest(key, text, self._digest)), self._signature)
            for text in self._signed_texts()
        )

    def _signed_texts(self) -> Iterator[bytes]:
        """What may have been signed, each once."""
        host = _bytes(self._http.headers.get("host", ""))
        fields = [self._fields]
        if not all(value for _, value in self._fields):
            fields.append([(name, value) for name, value in self._fields if value])
        for path in {"/": 0, self._http.path: 0}:
            for each in fields:
                signed = "&".join(f"{name}={value}" for name, value in each)
                yield self._http.method.encode() + host + _bytes(path) + b"?" + signed.encode()

    def failure(self) -> ScfApiError:
        host = self._http.headers.get("host", "")[:200]
        names = "&".join(f"{name}=…" for name, _ in self._fields)[:800]
        reason = f"it is not that of {f'{self._http.method}{host}/?{names}'!r}, or of another SecretKey"
        return api_error("AuthFailure.SignatureFailure", reason=reason)


def _check_time(request: ApiRequest, name: str, real_seconds: float, simulated_seconds: float) -> None:
    if min(abs(request.timestamp - real_seconds), abs(request.timestamp - simulated_seconds)) > LONGEST_SKEW:
        raise api_error(
            "AuthFailure.SignatureExpire",
            name=name,
            timestamp=request.timestamp,
            real=int(real_seconds),
            simulated=int(simulated_seconds),
        )


def _check_token(credential: Credential, token: str, simulated_seconds: float) -> None:
    reason = None
    if credential.token is None:
        if token:
            reason = "the key is not temporary and has none"
    elif not token:
        reason = "the key is temporary, and the request has none"
    elif not hmac.compare_digest(_bytes(token), _bytes(credential.token)):
        reason = "it is not that of the key"
    elif credential.expires_us is not None and simulated_seconds * 1_000_000 >= credential.expires_us:
        reason = "it has expired"
    if reason is not None:
        raise api_error("AuthFailure.TokenFailure", reason=reason)


def _malformed(reason: str) -> ScfApiError:
    return api_error("AuthFailure.InvalidAuthorization", reason=reason)


def _shortened(secret_id: str) -> str:
    """Its beginning: a SecretKey in its place is not shown."""
    return secret_id if len(secret_id) <= 8 else f"{secret_id[:8]}…"


def _bytes(text: str) -> bytes:
    """The bytes of a text that is latin-1, as those of a request are; no other text came over a wire."""
    return text.encode("latin-1", "replace")


@lru_cache(maxsize=8)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%d")


@lru_cache(maxsize=256)
def _signing_key(secret_key: str, date: str, service: str) -> bytes:
    """Derived by three HMACs, so that it is kept: most requests of a test have the same."""
    of_date = hmac.digest(f"TC3{secret_key}".encode(), _bytes(date), "sha256")
    return hmac.digest(hmac.digest(of_date, _bytes(service), "sha256"), b"tc3_request", "sha256")
