"""Hooks that other plugins and a project's ``conftest.py`` may implement.

Mark an implementation with ``@pytest.hookimpl(optionalhook=True)``, so that it is no error where this plugin is absent.
The hooks about instances and events are called in the middle of a blocking call: they may read properties, and must not
make blocking calls.
"""

from __future__ import annotations

import pytest


@pytest.hookspec(firstresult=True)
def pytest_scf_async_launcher(function: object) -> object | None:
    """Add a runtime: how a function whose code is neither Python nor Go is started, and how it is spoken to.

    *function* is a ``pytest_scf_async.CodePackage``. Give a ``pytest_scf_async.Launch``, or None for a runtime that is
    not yours. It is called in ``deploy``.
    """


def pytest_scf_async_instance_started(instance: object) -> None:
    """An instance was started for an event (a cold start): its process is there.

    *instance* is a ``pytest_scf_async.InstanceView``: how the instance looks at this moment.
    """


def pytest_scf_async_event_ended(event: object) -> None:
    """*event*, a ``pytest_scf_async.AsyncEvent``, has become FINISHED, FAILED or ABORTED.

    It is not called for events that still run when the test is over, and die with its runtime, nor for one that was
    dropped from the queue. Reading the event's status here counts as a check: a FAILED event that was checked
    does not fail the test at teardown.
    """


def pytest_scf_async_sweep_effects(run: object) -> object | None:
    """Add effects to *run*, a ``pytest_scf_async.Run`` of a sweep: what a fake or a store has at its end.

    Give a dict of values by name, of what JSON can have, or None. They are compared with those of the undisturbed run,
    as values of ``run.observe`` are. A name that two plugins give is an error. It is called once for each run, after
    the last event of the run has ended.
    """
