"""What other plugins and a project's ``conftest.py`` may implement.

Mark an implementation with ``@pytest.hookimpl(optionalhook=True)``, so that it is no error where this plugin is absent.
Both hooks are called in the middle of a blocking call: they may read properties, and must not make blocking calls.
"""

from __future__ import annotations


def pytest_scf_async_instance_started(instance: object) -> None:
    """An instance was started for an event (a cold start): its process is there.

    *instance* is a ``pytest_scf_async.InstanceView``: how the instance looks at this moment.
    """


def pytest_scf_async_event_ended(event: object) -> None:
    """*event*, a ``pytest_scf_async.AsyncEvent``, has become FINISHED, FAILED or ABORTED.

    It is not called for events that still run when the test is over, and die with its runtime. Reading the event's
    status here counts as looking at it: a FAILED event that was looked at does not fail the test at teardown.
    """
