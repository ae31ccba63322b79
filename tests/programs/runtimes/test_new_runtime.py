"""A runtime is added as one class: the facts in that class hold everywhere else."""

from __future__ import annotations

import pytest
from internals import PythonHandler, event_of, versions_of

from pytest_scf_async.errors import ScfUsageError

SOURCE = """
import os
import time

def main_handler(event, context):
    for _ in range(3):
        time.sleep(1)
    print("worked")
    return os.environ["NEW"]
"""


class NewRuntime(PythonHandler):
    """As Python, but with less that is known of it."""

    has_places = False
    has_listeners = False
    may_lease = False

    @property
    def name(self):
        return "a new runtime"

    @property
    def variables(self):
        return {"NEW": "its own variable"}

    def environment(self, site, of_sandbox):
        return {**super().environment(site, of_sandbox), "NEW": "overridden"}


@pytest.fixture
def function(deploy):
    function = deploy(SOURCE)
    versions_of(function).latest.runtime = NewRuntime()
    return function


def test_its_instances_find_what_it_says(function):
    assert function.run() == "its own variable"


@pytest.mark.parametrize(
    ("ask", "shown"),
    [
        (lambda event: event.run_to("main_handler"), "run_to('main_handler')"),
        (lambda event: event.wait_until_listening(), "wait_until_listening()"),
    ],
)
def test_what_is_not_known_of_it_cannot_be_asked(function, ask, shown):
    event = function.invoke_async()
    with pytest.raises(ScfUsageError, match="runs in a new runtime, where that cannot be known") as raised:
        ask(event)
    assert str(raised.value).startswith(shown)
    event.run_to("init")
    event.wait_for_log("worked")


def test_its_instances_move_no_clock_where_it_says_so(deploy, function):
    leased = deploy(SOURCE.replace('os.environ["NEW"]', "os.getpid()"), name="leased")
    waits = {}
    for each in (function, leased):
        event = each.invoke_async().wait()
        waits[each] = event_of(event).instance.waits[1]
    assert waits[function] == 0
    assert waits[leased] > 0
