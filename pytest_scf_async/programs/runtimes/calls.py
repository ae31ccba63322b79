"""The call of ``ScfRuntime`` that deploys images. What an image needs is imported when one is deployed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ...async_event import Json
from ...deployment import Mounts
from ...errors import calls_named, hidden_from_users, keywords_named
from ...instances.runtimes.choice import Builder, Deployed
from ...model.configuration import DEFAULT_IMAGE_INIT_TIMEOUT, IMAGE_PORT, IMAGE_RUNTIME
from ...options import DEFAULT_SOURCE, ScfSettings, Where, keywords_of

if TYPE_CHECKING:
    from ...function import Function

    class Platform(Protocol):
        """What the call asks of the runtime that has it."""

        _builder: Builder
        _lookup: tuple[str, ...]

        @property
        def settings(self) -> ScfSettings: ...
        def _deploy(self, source: str, settings: ScfSettings, made: Deployed, given: Mapping[str, Any]) -> Function: ...
        def _image_of(self, given: Mapping[str, Any], lookup: tuple[str, ...], source: str) -> Deployed: ...


__tracebackhide__ = hidden_from_users


@calls_named
class ImageCalls:
    """The calls that ``ScfRuntime`` has."""

    @keywords_named("deploy_image(...)", notes={"image_uri": "image= is the name of an image of this machine"})
    def deploy_image(
        self: Platform,
        # [options: deploy_image] written by `make options`
        command: Sequence[str | os.PathLike[str]] | None = None,
        *,
        image: str | None = None,
        cwd: str | os.PathLike[str] | None = None,
        port: int = IMAGE_PORT,
        ports: Sequence[int] = (),
        in_process: bool = False,
        name: str | None = None,
        timeout: float | timedelta | None = None,
        init_timeout: float | timedelta | None = None,
        memory: int | None = None,
        description: str = "",
        namespace: str | None = None,
        async_run: bool | None = None,
        trace: bool | None = None,
        max_instances: int | None = None,
        over_quota: Literal["refuse", "queue"] | None = None,
        mounts: Mounts = (),
        network: Literal["loopback", "all"] | None = None,
        environment: Mapping[str, str] | None = None,
        before_init: str | Callable[..., object] | None = None,
        before_init_args: Mapping[str, Json] | Sequence[Json] | None = None,
        background: Sequence[str] = (),
        idle_ok: Sequence[str] = (),
        compute_rate: float | None = None,
        # [end]
    ) -> Function:
        """Make an image function (document 56051) of *command*: the program that the image starts, and its arguments.

        No container engine is needed: each instance starts the program in a sandbox of its own, in the directory *cwd*
        (the image's working directory; relative ones are looked up as code is), where what it writes is its own. The
        program has to listen on *port*, on all addresses; each event is a ``POST /event-invoke`` whose body is the
        payload, and what it answers is the result: 2xx, otherwise the event ends with 430. A network of its own has
        nothing in it but a loopback; *ports* are those of the test's servers that the program finds there at
        ``127.0.0.1``. With *image* each instance is a container of podman or docker instead: the image has to be on
        this machine, as nothing is pulled. With ``port=-1`` the program is a job (document 94320): it is started for
        each event, which it finds in ``SCF_CUSTOM_CONTAINER_EVENT``, and exit code 0 is FINISHED. In a sweep ``{path}``
        among its arguments is ``run.path``.

        The program is supervised: it and all that it starts are on the simulated clock, in whatever language. With
        *in_process* the instance itself runs a program of one process that the test's own Python can run
        (``["python", "app.py"]``, ``["python", "-m", "flask", "run"]``, a script of an installed package). Where
        programs cannot be traced they see real time, and a ``ScfAsyncWarning`` says why. An image has 90 simulated
        seconds to start unless *init_timeout* is given, and 30 to listen (446). What else is not given comes from the
        settings.
        Raises ``ScfUsageError`` with the value, where it came from, and what is valid.

        Args:
            image: an image that podman or docker has on this machine, as in `"shop/export:1"`: each instance is a
                container of its own (how-to-languages.md)
            cwd: the directory that it is started in, by default the test's; a relative one is looked up as code is;
                what it writes there belongs to its instance (fidelity.md)
            port: the port on which it listens, on all addresses, 9000 by default; -1 for a job image, which listens
                nowhere
            ports: ports of the test's own servers that it finds on its loopback, as in `[6379]`
            in_process: the instance itself runs the program, which must be a single Python process: for gates at its
                lines, `breakpoint()`, the lines at which it waits, `before_init` and coverage (programs.md)
            name: by default the name of the script, module or program; a second one gets `-2`
            timeout: the time that an event may run (433)
            init_timeout: the time that the start may take (450), 90 s by default; 30 s with the port closed are 446
            memory: MB, enforced only where given (434)
            description: the description that GetFunction returns, at most 1,000 characters
            namespace: its namespace
            async_run: it is executed asynchronously (document 51519)
            trace: its status trace is on (document 63967)
            max_instances: the number of events that may run at once; one more is `LimitExceeded.Quota`
            over_quota: `"refuse"`, or `"queue"`: one more of `invoke_async` is retried each simulated minute, for 6
                hours
            mounts: directories that the program may write, each at its own path or a pair with its path in an instance
            network: `"loopback"`: a network of its own; `"all"`: the machine's, with its port
            environment: variables, besides the platform's and those of the settings
            before_init: a function, or `"tests/fakes.py:install"`, that is called in each instance before the program's
                first line; it needs `in_process=True`
            before_init_args: its keyword arguments (a dict) or arguments (a list), of JSON
            background: names of programs that do not hold the clock while they run
            idle_ok: addresses, as in `["127.0.0.1:6379"]`: an answer on a connection to one of them may be awaited for
                ever, and holds the clock for one real second only
            compute_rate: simulated seconds that a second of computing, of a child process or of another real wait
                takes; 0: none. A free-running program takes its real time anyway
        """
        given, source = keywords_of(Where.IMAGE, locals()), "deploy_image(...)"
        made = self._image_of(given, self._lookup, source)
        settings = self.settings
        if settings.source("init_timeout") == DEFAULT_SOURCE:
            settings = settings.replace(DEFAULT_SOURCE, init_timeout=DEFAULT_IMAGE_INIT_TIMEOUT)
        return self._deploy(source, settings, made, {**given, "runtime": IMAGE_RUNTIME})

    def _image_of(self: Platform, given: Mapping[str, Any], lookup: tuple[str, ...], source: str) -> Deployed:
        """What ``deploy_image`` of *source* makes of the keywords *given*: a program of this machine, or a container.

        Raises ``ScfUsageError`` with the value, where it came from, and what is valid.
        """
        if given["image"] is None:
            from .program import image  # noqa: PLC0415

            return image(given, lookup, source, self._builder.why_untraced)
        from .container import container_image  # noqa: PLC0415  (few have images of an engine)

        return container_image(given, lookup, source, self._builder.why_untraced)

    def _may_be_in_process(self, words: Sequence[str], directory: str, source: str) -> bool:
        """Whether the test's own Python can run a command itself. Raises ``ScfUsageError`` where there is no such."""
        from .program import may_be_in_process  # noqa: PLC0415

        return may_be_in_process(words, directory, source)
