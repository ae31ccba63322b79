"""What a stop of a supervised program costs in real time: what its processes compute, and not what traces them does."""

from __future__ import annotations

import pytest
from image_support import program
from internals import event_of

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once


STOPS = program("""
stopping = False

def on_sigterm(signum, frame):
    global stopping
    stopping = True

signal.signal(signal.SIGTERM, on_sigterm)

def compute(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:  # a read that the kernel answers
        sum(range(100_000))

def handle(event, request):
    while not stopping:
        time.sleep(10)
    if event["forks"]:
        pid = os.fork()
        if not pid:
            compute(event["computes"])
            os._exit(0)
        os.waitpid(pid, 0)
    else:
        compute(event["computes"])
    for _ in range(event["sleeps"]):
        time.sleep(1)
    return "stopped"
""")


def cost_of(deploy_image, runtime, **payload):
    event = deploy_image(STOPS).invoke_async({"forks": False, "computes": 0, "sleeps": 0, **payload})
    runtime.clock.advance(5)
    event.terminate(grace_shutdown=True)
    event.wait()
    assert event.result == "stopped"
    return event_of(event).signals[-1].cost


@pytest.mark.parametrize("forks", [False, True], ids=["itself", "a child"])
def test_what_the_program_computes_counts(deploy_image, runtime, forks):
    cost = cost_of(deploy_image, runtime, forks=forks, computes=0.5)

    assert 0.45 <= cost.computing <= 0.8
    assert cost.children == 0


def test_what_traces_it_does_not_count(deploy_image, runtime):
    """A thousand sleeps take the tracer hundreds of milliseconds, and the program a few."""
    cost = cost_of(deploy_image, runtime, sleeps=1000)

    assert cost.computing < 0.15
