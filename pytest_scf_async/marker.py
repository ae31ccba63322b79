"""The marker of a test's function as a call with types, which editors complete and type checkers check."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest

from .errors import hidden_from_users, keywords_named
from .options import Where, keywords_of

if TYPE_CHECKING:
    from .async_event import Json
    from .deployment import Mounts

__tracebackhide__ = hidden_from_users

NOT_GIVEN: Final[Any] = ...
"""The default of each keyword: None has a meaning of its own, as it takes back what a farther marker says."""


@keywords_named("scf_function(...)")
def scf_function(
    # [options: scf_function] written by `make options`
    code: str | os.PathLike[str] | Callable[..., object] = NOT_GIVEN,
    *,
    payload: Json = NOT_GIVEN,
    handler: str | None = NOT_GIVEN,
    ports: Sequence[int] = NOT_GIVEN,
    name: str | None = NOT_GIVEN,
    timeout: float | timedelta | None = NOT_GIVEN,
    init_timeout: float | timedelta | None = NOT_GIVEN,
    memory: int | None = NOT_GIVEN,
    description: str = NOT_GIVEN,
    runtime: str | None = NOT_GIVEN,
    namespace: str | None = NOT_GIVEN,
    async_run: bool | None = NOT_GIVEN,
    trace: bool | None = NOT_GIVEN,
    max_instances: int | None = NOT_GIVEN,
    over_quota: Literal["refuse", "queue"] | None = NOT_GIVEN,
    layers: Sequence[str | os.PathLike[str]] = NOT_GIVEN,
    mounts: Mounts = NOT_GIVEN,
    network: Literal["loopback", "all"] | None = NOT_GIVEN,
    environment: Mapping[str, str] | None = NOT_GIVEN,
    before_init: str | Callable[..., object] | None = NOT_GIVEN,
    before_init_args: Mapping[str, Json] | Sequence[Json] | None = NOT_GIVEN,
    children: Literal["real", "simulated"] = NOT_GIVEN,
    background: Sequence[str] = NOT_GIVEN,
    idle_ok: Sequence[str] = NOT_GIVEN,
    compute_rate: float | None = NOT_GIVEN,
    # [end]
) -> pytest.MarkDecorator:
    """Declare the function of a test, a class or a module: the marker ``pytest.mark.scf_function``, typed.

    It does what the marker does, and takes a function as its first argument, too. The closest marker wins, and
    keywords of farther ones are kept: *code* may be left out of a marker that changes some of them. Raises
    ``ScfUsageError`` for a keyword that there is not; the values are checked when the test asks for its function.

    Args:
        payload: the data of the event that `async_event` is, of JSON
        handler: `"index.main_handler"`, for a directory or a zip; of a Go function the name of its binary, `"main"`
            unless given
        ports: ports of the test's own servers that it finds on its loopback, as in `[6379]`; a Python handler finds all
            of them, unless its children are simulated
        name: by default the file's stem, made valid: `my file.py` becomes `my-file`, `h.py` `function-h`; for a
            directory or a zip whose file is `index.py`, its own name; a second one gets `-2`
        timeout: the time that an event may run (433)
        init_timeout: the time that an init may take (450)
        memory: MB, enforced only where given (434)
        description: the description that GetFunction returns, at most 1,000 characters
        runtime: for Python, the value of `SCF_RUNTIME`; `"Go1"`: `code` is the directory or zip of a Go package or of a
            built binary; `"Nodejs18.15"` and the others of Node.js, `"CustomRuntime"`: that with `index.js`, or with
            `bootstrap`; another one is for a plugin (`pytest_scf_async_launcher`)
        namespace: its namespace
        async_run: it is executed asynchronously (document 51519)
        trace: its status trace is on (document 63967)
        max_instances: the number of events that may run at once; one more is `LimitExceeded.Quota`
        over_quota: `"refuse"`, or `"queue"`: one more of `invoke_async` is retried each simulated minute, for 6 hours
        layers: directories and zips at `/opt`, later ones over earlier ones
        mounts: directories that handlers may write, each at its own path or a pair with its path in an instance
        network: `"loopback"`: connections to other machines are refused; or `"all"`
        environment: variables, besides the platform's and those of the settings
        before_init: a function, or `"tests/fakes.py:install"`, that is called in each instance before the module is
            imported; not for Go, which has no Python process
        before_init_args: its keyword arguments (a dict) or arguments (a list), of JSON
        children: `"real"`, or `"simulated"`: the child processes of a Python handler are on the simulated clock too
            (time.md)
        background: names of programs that do not hold the clock while they run
        idle_ok: addresses, as in `["127.0.0.1:6379"]`: an answer on a connection to one of them may be awaited for
            ever, and holds the clock for one real second only
        compute_rate: simulated seconds that a second of computing, of a child process or of another real wait takes; 0:
            none
    """
    given = {"payload": payload, **keywords_of(Where.DEPLOY, locals())}
    given = {name: value for name, value in given.items() if value is not NOT_GIVEN}
    by_position = [given.pop("code")] if "code" in given else []
    return pytest.mark.scf_function.with_args(*by_position, **given)
