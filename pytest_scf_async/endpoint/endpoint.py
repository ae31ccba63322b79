"""The endpoint: from an HTTP request to the envelope that answers it.

What a client sends never raises here: it is answered, with the platform's code. What goes wrong on our side, or cannot
be for a reason that lies with the test, is answered with ``InternalError``, and kept in `Endpoint.problems`, so that
the test that owns the endpoint fails with it.
"""

from __future__ import annotations

import json
import random
import re
import socket
import string
import threading
import uuid
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from ..clock import to_datetime
from ..errors import CannotEndError, ScfApiError, ScfAsyncWarning, ScfUsageError
from ..protocol.real_time import REAL
from ..runtime import ScfRuntime
from .action import Action
from .actions import ACTIONS, OTHER_ACTIONS
from .clients import ConnectionOwner
from .faults import Declared, Dropped, Faults
from .http_request import HttpAnswer, HttpRequest
from .operations.error_texts import api_error
from .parameters import read
from .polls import POLLS, Polls
from .rate_limits import RateLimits
from .request import ApiRequest, language_of, read_request
from .served_answers import NobodyWaitsError, ServedAnswers
from .signature import Credential, Credentials, verify
from .texts import message_of, without_paths

API_VERSION: Final = "2018-04-16"
"""The only version of the API that there is (document 17234)."""


@dataclass(frozen=True)
class EndpointCall:
    """One request that reached the endpoint, and how it was answered."""

    action: str
    """As in ``ListAsyncEvents``; empty where the request names none."""
    parameters: Mapping[str, Any] = field(repr=False)
    """As they were sent: of a form or a query, all values are texts."""
    at: datetime
    """The simulated time at which it arrived."""
    request_id: str
    """The ``RequestId`` of the answer."""
    error: str | None
    """The code of the answer, as in ``ResourceNotFound.Function``; None for a success."""
    secret_id: str
    """Who signed it; empty where that is not known."""
    region: str
    """As the request names it; empty where it names none. Each region has the functions of the runtime."""
    client: str
    """The client's description of itself, as in ``SDK_PYTHON_3.1.100``."""
    dropped: str | None = None
    """``"request"`` or ``"response"`` where a fault declared with ``drop`` lost it."""


class Endpoint:
    """The API of one runtime. Its methods may be called from many threads at once."""

    def __init__(self, runtime: ScfRuntime) -> None:
        self.runtime: Final = runtime
        self.region: Final = runtime.settings.region
        self._random = random.Random(f"pytest-scf-async endpoint {runtime.seed}")
        self.credentials: Final = Credentials()
        self.own_credential: Final = self._new_credential()
        self.credentials.add(self.own_credential)
        self.faults: Final = Faults(runtime)
        self.rate_limits: Final = RateLimits(runtime)
        self.calls: Final[list[EndpointCall]] = []
        self.problems: Final[list[BaseException]] = []
        """What the test fails with: what went wrong on our side, or is the test's own fault, each of them answered with
        ``InternalError``; and a warning of which the session makes an error."""
        self.polls: Final = Polls(runtime)
        self._unknown: Final[set[str]] = set()
        """Parameters that were sent and are on no page: there is one warning for each."""
        self.closing = False
        """Answers that wait on simulated time are not waited for any more."""
        self._lock = threading.Lock()
        self._answers = runtime._lockstep.feature(ServedAnswers)

    def _new_credential(self) -> Credential:
        letters = string.ascii_letters + string.digits
        text = "".join(self._random.choice(letters) for _ in range(64))
        return Credential(f"AKID{text[:32]}", text[32:])

    def answer(self, http: HttpRequest, connection: socket.socket | None = None) -> HttpAnswer | None:
        """The answer to a request, always with HTTP status 200; None where it is lost on the way.

        *connection* is that on which the answer is owed: who waits for it does not keep simulated time from passing.
        """
        client = None
        if connection is not None:
            client = ConnectionOwner(self.runtime._pool, connection, lambda: self.closing)
        with self._answers.serving(client):
            return self._answer(_Call(self, http))

    def warn_of_unknown(self, action: str, places: Mapping[str, str]) -> None:
        """Warn of the parameters at *places*, which *action* does not have, each with a hint; of each name once.

        The platform takes them: the vendor's component toolkit sends such ones in each create, update and get.
        """
        names = {re.sub(r"\.\d+(?=\.)", "", place): hint for place, hint in places.items()}
        with self._lock:
            new = [name for name in names if name not in self._unknown]
            self._unknown.update(new)
        for name in new:
            text = f"{name}, which was sent to {action}, is none of its parameters and changes nothing{names[name]}"
            try:
                warnings.warn(text, ScfAsyncWarning, stacklevel=2)
            except ScfAsyncWarning as warning:  # the client is to go on
                self.problems.append(warning)

    def begin_closing(self) -> None:
        """Let the answers that wait on simulated time wait no more."""
        self.closing = True

    def _answer(self, call: _Call) -> HttpAnswer | None:
        try:
            body: Mapping[str, Any] | None = call.perform()
        except Declared as error:
            body = call.refused(error, error.platform_message)
        except ScfApiError as error:
            body = call.refused(error)
        except Dropped as dropped:
            call.dropped = dropped.what
            body = None
        except (CannotEndError, ScfUsageError) as error:
            self.problems.append(error)
            body = call.refused(ScfApiError("InternalError", str(error).partition("\n")[0]))
        except NobodyWaitsError:
            body = None
        except Exception as error:  # noqa: BLE001  (a client gets an envelope whatever happens; the test gets the error)
            self.problems.append(error)
            body = call.refused(api_error("InternalError", problem=f"{type(error).__name__}: {error}"))
        with self._lock:
            self.calls.append(call.summary())
        return None if body is None else HttpAnswer(_encoded(body))

    def new_request_id(self) -> str:
        """The id of an answer: a UUID of version 4, the same in two runs whose requests come in the same order."""
        with self._lock:
            return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps({"Response": body}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


class _Call:
    """One request on its way through the endpoint."""

    def __init__(self, endpoint: Endpoint, http: HttpRequest) -> None:
        self.endpoint = endpoint
        self._http = http
        self.at = to_datetime(endpoint.runtime.clock.now_us)
        self.request_id = endpoint.new_request_id()
        self.request: ApiRequest | None = None
        self.secret_id = ""
        self.error: str | None = None
        self.dropped: str | None = None

    def perform(self) -> Mapping[str, Any]:
        """Do what the request asks for; raises ``ScfApiError`` with the platform's code."""
        endpoint = self.endpoint
        request = self.request = read_request(self._http)
        self.secret_id = verify(
            self._http,
            request,
            endpoint.credentials,
            real_seconds=REAL.time_ns() / 1e9,
            simulated_seconds=endpoint.runtime.clock.now_us / 1e6,
        )
        action = self._action(request)
        endpoint.rate_limits.count(action)
        try:
            endpoint.polls.count(action.name)
        except ScfAsyncWarning as warning:  # the client is to go on
            endpoint.problems.append(warning)
        if action.name in POLLS:
            endpoint.polls.run_what_is_due()

        def perform() -> dict[str, Any]:
            unknown: dict[str, str] = {}
            sent = read(request.parameters, action.request, typed=request.typed, unknown=unknown)
            endpoint.warn_of_unknown(action.name, unknown)
            with nullcontext() if action.takes_time else endpoint.runtime._lockstep.locked():
                return action.perform(endpoint.runtime, sent)

        answered = endpoint.faults.performed(action.name, request.parameters, perform)
        request_id = answered.pop("RequestId", None)
        if request_id is not None:
            self.request_id = request_id
        return {**answered, "RequestId": self.request_id}

    def _action(self, request: ApiRequest) -> Action:
        if request.version != API_VERSION:
            raise api_error("NoSuchVersion", version=request.version, valid=API_VERSION)
        action = ACTIONS.get(request.action)
        if action is not None:
            return action
        if request.action in OTHER_ACTIONS:
            raise api_error(
                "UnsupportedOperation", what=f"The action {request.action} by the endpoint of pytest-scf-async"
            )
        raise api_error("InvalidAction", action=request.action)

    def refused(self, error: ScfApiError, message: str | None = None) -> Mapping[str, Any]:
        """The body that says why not, with *message*, or else in the language that the client asked for."""
        self.error = error.code
        if message is None:
            message = message_of(error, language_of(self._http))
            message = without_paths(message, self.endpoint.runtime._lookup, self._http.body)
        return {"Error": {"Code": error.code, "Message": message}, "RequestId": self.request_id}

    def summary(self) -> EndpointCall:
        request = self.request
        return EndpointCall(
            action="" if request is None else request.action,
            parameters=MappingProxyType({} if request is None else dict(request.parameters)),
            at=self.at,
            request_id=self.request_id,
            error=self.error,
            secret_id=self.secret_id,
            region="" if request is None else request.region,
            client="" if request is None else request.client,
            dropped=self.dropped,
        )
