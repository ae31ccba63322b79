"""What a runtime takes from the session of pytest in which it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from .. import session

if TYPE_CHECKING:
    from ..options import ScfSettings
    from .live_log import LiveLog


def defaults_of(
    config: pytest.Config, settings: ScfSettings, test: pytest.Item | None, of_wings: Mapping[str, Any]
) -> session.Defaults:
    """What it takes in *test*: code is looked up beside its file."""
    hook = config.hook
    temporary = temporary_paths(config)
    return session.Defaults(
        settings=settings,
        lookup=(config.rootpath,) if test is None else (test.path.parent, config.rootpath),
        base_temp=None if temporary is None else temporary.getbasetemp(),
        root=config.rootpath,
        on_instance_started=_caller(hook.pytest_scf_async_instance_started, "instance"),
        on_event_ended=_caller(hook.pytest_scf_async_event_ended, "event"),
        on_log_line=_live_log(config),
        launcher=_caller(hook.pytest_scf_async_launcher, "function"),
        **of_wings,
    )


def temporary_paths(config: pytest.Config) -> pytest.TempPathFactory | None:
    """What the fixture ``tmp_path_factory`` returns; None without the plugin of temporary directories."""
    found: pytest.TempPathFactory | None = getattr(config, "_tmp_path_factory", None)
    return found


def _caller(hook: Any, argument: str) -> Callable[[object], object] | None:
    """What calls *hook* with its one argument; None where nobody implements it."""
    return (lambda value: hook(**{argument: value})) if hook.get_hookimpls() else None


def _live_log(config: pytest.Config) -> LiveLog | None:
    if not (config.option.scf_async_live_log or config.getini("scf_async_live_log")):
        return None
    from .live_log import LiveLog

    return LiveLog(config)
