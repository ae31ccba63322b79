"""Whose process a fork of an image's program is, by its id: signals go to no other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

import pytest
from image_support import program
from internals import _own_pidfd, event_of, pool_of, procfs, shared_page
from process_support import descriptors, eventually, is_gone, state_of

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once

FORKS_TWICE = """
def handle(event, request):
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            time.sleep(50)
        os._exit(0)
    os.waitpid(pid, 0)
    time.sleep(20)
"""
"""The process between them ends at once, and the instance adopts its child."""


@pytest.fixture
def bystander(latch):
    """A process that belongs to no instance, and lives until the test ends."""
    with subprocess.Popen(["head", "-c1", latch.path], stdout=subprocess.DEVNULL) as process:
        yield process
        latch.open()


@pytest.fixture
def working(deploy_in_process):
    """The instance of an event that works."""
    event = deploy_in_process(program("def handle(event, request): time.sleep(100)")).invoke_async()
    event.settle()
    return event_of(event).instance


def told_of(instance) -> socket.socket:
    """What comes with the word of a fork, as if *instance* had sent it; the fork's end of the channel."""
    channel, theirs = socket.socketpair()
    output, pipe = os.pipe2(os.O_CLOEXEC)
    os.close(pipe)
    control_file = os.memfd_create("control", os.MFD_CLOEXEC)
    os.ftruncate(control_file, shared_page.STACKS_OFFSET)
    attention = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    instance.descriptors += [channel.detach(), output, control_file, attention]
    return theirs


def test_only_a_process_of_the_instance_gets_a_pidfd(working, bystander):
    before = descriptors()

    assert _own_pidfd(bystander.pid, working.pid) is None
    assert _own_pidfd(os.getpid(), working.pid) is None
    assert descriptors() == before


def test_an_id_that_is_another_process_is_a_member_that_has_ended(working, bystander, runtime, latch):
    theirs = told_of(working)
    member = pool_of(runtime).take_in(working, bystander.pid)

    assert member.pidfd is None
    assert member.ends_soon()
    member.kill()
    assert not member.signal(signal.SIGKILL)
    theirs.close()
    pool_of(runtime).drop(member)

    assert working.members == []
    latch.open()
    assert bystander.wait() == 0


def test_a_fork_whose_parent_has_ended_is_a_member_with_a_pidfd(deploy_in_process, runtime):
    event = deploy_in_process(program(FORKS_TWICE)).invoke_async()
    runtime.clock.advance(1)

    instance = event_of(event).instance
    (member,) = instance.members
    assert procfs.parent_of(member.pid) == instance.pid
    assert member.pidfd is not None
    member.kill()
    assert eventually(lambda: is_gone(member.pid) or state_of(member.pid) == "Z")
    assert event.wait().status == "FINISHED"
