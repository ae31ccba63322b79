"""The call of ``ScfRuntime`` that makes a function without code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, Protocol

from .errors import calls_named, hidden_from_users, keywords_named
from .function import Function
from .instances.code import Code
from .instances.runtimes.choice import Deployed
from .instances.runtimes.scripted import Scripted
from .options import ScfSettings, Where, keywords_of
from .scripted import ByEvent, OnTerminate, Step, scripts_of

__tracebackhide__ = hidden_from_users


class Platform(Protocol):
    """What the call asks of the runtime that has it."""

    @property
    def settings(self) -> ScfSettings: ...
    def _deploy(self, source: str, settings: ScfSettings, made: Deployed, given: Mapping[str, Any]) -> Function: ...


@calls_named
class ScriptedCalls:
    """The call that ``ScfRuntime`` has."""

    @keywords_named("deploy_scripted(...)")
    def deploy_scripted(
        self: Platform,
        name: str,
        script: Sequence[Step],
        # [options: deploy_scripted] written by `make options`
        *,
        on_terminate: OnTerminate = "honour",
        by_event: ByEvent | None = None,
        timeout: float | timedelta | None = None,
        namespace: str | None = None,
        async_run: bool | None = None,
        trace: bool | None = None,
        max_instances: int | None = None,
        over_quota: Literal["refuse", "queue"] | None = None,
        # [end]
    ) -> Function:
        """Make a function *name* without code: each of its events does what *script* says, a list of steps.

        The steps are functions of ``pytest_scf_async.scripted``: ``running_for(7200)``, ``logged("row 1")``, and as the
        last one an end: ``finished(result)``, ``failed(status_code)``, ``exited()`` or ``timed_out()``. It is for tests
        of code that watches a function: to whoever lists, polls or terminates its events they are as those of other
        functions. No process is started. An event that runs as long as its timeout ends there, with 433. A forced
        termination ends an event at once, whatever its script says (ABORTED, 499). What is not given comes from the
        settings. Raises ``ScfUsageError`` with the value, where it came from, and what is valid.

        Args:
            on_terminate: the effect of a graceful termination: `"honour"`, the event is FINISHED at once, with the
                result null; `"ignore"`, nothing; `after(60)`, it is FINISHED 60 simulated seconds later; `after(0,
                exited())`, it ends at once with 439, like code without a SIGTERM handler
            by_event: other scripts for some events: by their index in `function.events`, as in `{0: [failed()]}`, or a
                function of the payload that returns a script, or None for `script`
            timeout: the time that an event may run (433)
            namespace: its namespace
            async_run: it is executed asynchronously (document 51519)
            trace: its status trace is on (document 63967)
            max_instances: the number of events that may run at once; one more is `LimitExceeded.Quota`
            over_quota: `"refuse"`, or `"queue"`: one more of `invoke_async` is retried each simulated minute, for 6
                hours
        """
        given, source = keywords_of(Where.SCRIPTED, locals()), "deploy_scripted(...)"
        scripts = scripts_of(script, given.pop("on_terminate"), given.pop("by_event"), source)
        given |= {"name": name, "before_init": None, "before_init_args": None}
        code = Code("", "", "index", "main_handler", "scripted")
        return self._deploy(source, self.settings, Deployed(code, Scripted(scripts), code.handler), given)
