"""Instances of an image: many at once, warm ones, frozen ones, and what is left of them."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from image_support import program
from internals import event_of, pool_of, procfs
from process_support import (
    assert_kept,
    descriptors,
    end_preforked,
    eventually,
    grow_impatient,
    is_gone,
    state_of,
    user_lines,
)

from pytest_scf_async import CannotEndError, ScfUsageError

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once

COUNTS = """
events = 0
def handle(event, request):
    global events
    events += 1
    time.sleep(1)
    return [os.getpid(), events, list(request.server.socket.getsockname())]
"""


def test_20_instances_at_once_have_their_port_each(deploy_image, runtime):
    function = deploy_image(program(COUNTS))
    events = [function.invoke_async() for _ in range(20)]

    runtime.wait_all(events)

    assert [event.duration for event in events] == [timedelta(seconds=1)] * 20
    assert [event.result[1:] for event in events] == [[1, ["0.0.0.0", 9000]]] * 20
    assert len({event.instance.pid for event in events}) == 20


def test_instances_of_two_runtimes_have_their_port_each(deploy_image, make_runtime):
    events = [deploy_image(program(COUNTS), to=make_runtime()).invoke_async().settle() for _ in range(2)]

    assert [event.wait().result[2] for event in events] == [["0.0.0.0", 9000]] * 2


def test_a_warm_instance_goes_on_where_it_was(deploy_image):
    function = deploy_image(program(COUNTS))

    results = [function.invoke_async().wait().result for _ in range(3)]

    assert [events for _, events, _ in results] == [1, 2, 3]
    assert len({pid for pid, _, _ in results}) == 1


def test_nothing_of_a_frozen_instance_runs(deploy_image, runtime):
    handle = """
    def beat():
        while True:
            time.sleep(1)
            print("beat", flush=True)
    threading.Thread(target=beat, daemon=True).start()
    def handle(event, request):
        time.sleep(2.5)
    """
    function = deploy_image(program(handle, server="ThreadingHTTPServer"))
    first = function.invoke_async().wait()
    assert_kept(first)
    assert user_lines(first) == ["beat", "beat"]

    runtime.clock.advance(100)

    assert user_lines(first) == ["beat", "beat"]
    second = function.invoke_async().wait()
    assert user_lines(second).count("beat") in (3, 4)  # the one that was due, then one a second
    assert first.instance.pid == second.instance.pid


def test_children_of_a_frozen_instance_are_stopped(deploy_image):
    handle = """
    import subprocess
    def handle(event, request):
        child = subprocess.Popen(["sleep", "1000"])
        return child.pid
    """
    function = deploy_image(program(handle), background=["sleep"])
    event = function.invoke_async().wait()

    assert eventually(lambda: state_of(event.instance.pid) in ("T", "t"))  # t: by what traces it
    below = procfs.descendants_of(event.instance.pid)
    assert len(below) == 1
    assert eventually(lambda: state_of(below[0]) in ("T", "t"))
    function.delete()
    assert eventually(lambda: is_gone(below[0]))


def test_an_idle_instance_is_reclaimed(deploy_image, runtime):
    event = deploy_image(program(COUNTS)).invoke_async().wait()

    runtime.clock.advance(301)

    assert (event.instance.alive, event.instance.reclaimed_because) == (False, "idle")
    assert is_gone(event.instance.pid)


def test_a_frozen_instance_does_not_meet_the_time_that_passed(deploy_image, runtime):
    handle = """
    def handle(event, request):
        return time.time()
    """
    function = deploy_image(program(handle))
    first = function.invoke_async().wait().result

    runtime.clock.advance(200)

    assert function.invoke_async().wait().result == first + 200


def test_an_instance_that_died_while_it_was_frozen_is_not_used(deploy_image):
    function = deploy_image(program(COUNTS))
    first = function.invoke_async().wait()
    os.kill(first.instance.pid, 9)
    assert eventually(lambda: not first.instance.alive)

    second = function.invoke_async().wait()

    assert (second.result[1], second.instance.cold) == (1, True)


def test_max_instances_holds(deploy_image):
    function = deploy_image(program(COUNTS), max_instances=1)
    event = function.invoke_async()

    with pytest.raises(Exception, match=r"LimitExceeded\.Quota"):
        function.invoke_async()
    event.wait()


def test_no_descriptor_is_left_of_instances(make_runtime, deploy_image):
    def run_one(target, function):
        event = function.invoke_async().settle()
        event.terminate()
        return event

    target = make_runtime()
    function = deploy_image(program(COUNTS), to=target)
    for _ in range(3):
        run_one(target, function)
    before = descriptors()

    for _ in range(10):  # one descriptor that stays would be seen
        assert run_one(target, function).status == "ABORTED"

    assert descriptors() == before


def test_a_runtime_that_is_closed_leaves_nothing_of_its_images(make_runtime, deploy_image, deploy_free, runtime):
    pids = []
    function = deploy_image(program(COUNTS))
    pids += [function.invoke_async().settle().instance.pid for _ in range(3)]
    free = deploy_free(program("def handle(event, request): time.sleep(1000)")).invoke_async()
    free.settle()
    pids += [free.instance.pid, event_of(free).instance.user_process.pid]
    zygote = pool_of(runtime).sandboxes.zygote()

    runtime.close()

    assert all(is_gone(pid) for pid in pids[:4])
    assert eventually(lambda: is_gone(pids[4]))
    end_preforked(zygote)


def test_an_update_retires_the_old_instances(deploy_image):
    function = deploy_image(program("def handle(event, request): return os.environ['MODE']"), environment={"MODE": "1"})
    first = function.invoke_async().wait()

    function.update(environment={"MODE": "2"})
    second = function.invoke_async().wait()

    assert (first.result, second.result) == ("1", "2")
    assert first.instance.reclaimed_because == "function updated"


def test_the_code_of_an_image_cannot_be_updated(deploy_image, tmp_path):
    function = deploy_image(program(COUNTS))

    with pytest.raises(ScfUsageError) as raised:
        function.update(code=f"{tmp_path}/image1/app.py:main_handler")

    assert str(raised.value) == (
        "update(...) changes the code of code packages, and 'app' is an image function: delete() it and call "
        "deploy_image() again"
    )


def test_a_child_that_holds_the_clock_is_reported_in_the_words_of_images(deploy_in_process, make_runtime):
    source = "import subprocess, time\ndef handle(event, request): subprocess.Popen(['sleep', '1000']); time.sleep(60)"
    runtime = make_runtime()
    event = deploy_in_process(program(source), to=runtime).invoke_async()
    event.settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as raised:
        event.wait()

    assert "; deploy_image(..., background=('sleep',)) lets a daemon run beside the clock" in str(raised.value)


def test_a_published_version_runs_as_it_was(deploy_image, tmp_path):
    function = deploy_image(program("def handle(event, request): return 1"))
    version = function.publish_version()
    app = tmp_path / "image1" / "app.py"
    app.write_text(app.read_text().replace("return 1", "return 222"))

    assert function.invoke_async(qualifier=version).wait().result == 1
    assert function.invoke_async().wait().result == 222
