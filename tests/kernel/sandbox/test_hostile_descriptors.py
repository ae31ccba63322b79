"""A handler may write to, shorten and overwrite any descriptors that it finds: pytest lives, and reports that."""

from __future__ import annotations

import json
import re
import struct

import pytest
from internals import messages
from process_support import LONG, grow_impatient

from pytest_scf_async.errors import CannotEndError, HarnessError, ScfAsyncError

# once: descriptors are the kernel's: the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

PREAMBLE = """
import fcntl, os, random, socket, stat, struct, time

def descriptors():
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        fd = int(name)
        try:
            yield fd, os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd).st_mode
        except OSError:
            continue

def channels():
    return [fd for fd, link, mode in descriptors() if stat.S_ISSOCK(mode)]
"""

FOUND = (
    PREAMBLE
    + """
def main_handler(event, context):
    found = sorted(link.partition(":[")[0] for fd, link, mode in descriptors())
    time.sleep(60)
    return found
"""
)


def test_a_handler_finds_no_descriptor_of_another_instance(deploy, runtime):
    function = deploy(FOUND)
    alone = function.run()
    events = [function.invoke_async() for _ in range(4)]
    runtime.wait_all(events)
    assert [event.result for event in events] == [alone] * 4
    assert not [name for name in alone if "pidfd" in name or "eventpoll" in name]


SHORTENS = (
    PREAMBLE
    + """
def main_handler(event, context):
    refused = []
    for fd, link, mode in descriptors():
        if "memfd" in link:
            for size in (0, 1, 1 << 40):
                try:
                    os.ftruncate(fd, size)
                except PermissionError:
                    refused.append(link.split()[0])
    time.sleep(60)
    return sorted(set(refused))
"""
)


def test_memory_that_is_shared_cannot_be_shortened(deploy):
    assert deploy(SHORTENS).run() == ["/memfd:scf-async-control"]


def test_stacks_are_still_written_where_memory_is_sealed(deploy, runtime, latch):
    function = deploy("import os\ndef main_handler(event, context):\n    open(event).read(1)\n")
    for _ in range(2):
        grow_impatient(runtime, LONG)
        event = function.invoke_async(latch.path).settle()
        grow_impatient(runtime)
        with pytest.raises(CannotEndError) as caught:
            event.wait()
        assert "index.py:3 in main_handler" in str(caught.value)
        event.terminate()


WRITES = (
    PREAMBLE
    + """
def main_handler(event, context):
    for fd in channels():
        os.write(fd, bytes.fromhex(event))
    time.sleep(60)
    return "the end"
"""
)


def frame(kind: int, body: bytes) -> str:
    return (struct.pack("<IB", len(body), kind) + body).hex()


FromInstance = messages.FromInstance
GARBAGE = {
    "a length that nothing has": (b"\xff" * 64).hex(),
    "a short PARKED": frame(FromInstance.PARKED, b"x"),
    "no JSON": frame(FromInstance.NOTE, b"\xff\xfe"),
    "JSON that is not an object": frame(FromInstance.NOTE, b"[1]"),
    "a RESULT without its words": frame(FromInstance.RESULT, b"{}"),
    "a RESULT of no fact": frame(FromInstance.RESULT, json.dumps({"fact": "NO_SUCH_FACT", "rss": 1}).encode()),
    "an INIT_DONE of no fact": frame(FromInstance.INIT_DONE, json.dumps({"fact": "NO_SUCH_FACT", "rss": 1}).encode()),
    "a PROGRAM, which is an agent's": frame(FromInstance.PROGRAM, b'{"pid":1}'),
    "a number that nothing has": frame(200, b"{}"),
    "a short LEASED": frame(FromInstance.LEASED, b""),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_on_the_channel_is_reported_with_the_instances_name(deploy, runtime, garbage):
    function = deploy(WRITES, name="scribbler")
    event = function.invoke_async(garbage)

    with pytest.raises(HarnessError) as caught:
        event.wait()

    assert re.match(
        r"instance \d+ \(pid \d+\) of scribbler sent an invalid message \(.+\) and was ended", str(caught.value)
    )
    assert event.status == "FAILED"
    another = deploy("def main_handler(event, context): return 1")
    assert another.run() == 1


SCRIBBLES = (
    PREAMBLE
    + """
def main_handler(event, context):
    rng = random.Random(event)
    for fd, link, mode in descriptors():
        if "memfd" in link:
            size = os.fstat(fd).st_size
            for _ in range(20):
                os.pwrite(fd, rng.randbytes(64), rng.randrange(size))
            os.lseek(fd, rng.randrange(1 << 40), os.SEEK_SET)
        elif stat.S_ISSOCK(mode) or "eventfd" in link:
            os.set_blocking(fd, False)
            try:
                os.write(fd, rng.randbytes(8 * rng.randrange(1, 20)) if stat.S_ISSOCK(mode) else bytes(8))
            except OSError:
                pass
    return "the end"
"""
)


@pytest.mark.once
def test_whatever_is_written_anywhere_ends_in_a_result_or_an_error_of_ours(deploy, make_runtime):
    for seed in range(30):
        runtime = make_runtime(real_timeout=0.5)
        event = deploy(SCRIBBLES, to=runtime).invoke_async(seed)
        try:
            event.wait()
        except ScfAsyncError:
            pass  # the clock's page, too, may hold anything
        else:
            assert event.status in ("FINISHED", "FAILED")
        runtime.close()
    assert deploy("def main_handler(event, context): return 1", to=make_runtime()).run() == 1
