"""The clock page on the processor that runs the tests, in a plain interpreter of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace
from typing import Any

import pytest
from internals import ClockPage, Unavailable

pytestmark = pytest.mark.interpreter

LONG = 120
"""Real seconds; for what does not hang."""
PRELUDE = """
import ctypes, datetime, errno, json, sys, time
from pytest_scf_async.python import clock_page as module
from pytest_scf_async.python.clock_page import clock_page as page

US = 2_000_000_000_000_000
calls = []
page.install(lambda: calls.append(page.data[module.READS]))

def say(**facts):
    print(json.dumps(facts))
"""


def run(code: str) -> Any:
    """What *code* prints in an interpreter with the clock page."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LONG,
        env={**os.environ, "TZ": "UTC"},
    )
    return json.loads(done.stdout)


def test_the_clock_is_real_until_it_follows_the_page_and_after_it_has_left_it() -> None:
    said = run("""
        real = abs(time.time_ns() - page.real_time_ns()) < 10**12
        page.page[0] = US
        page.follow_page(module.NO_LIMIT)
        simulated = [time.time_ns(), str(datetime.datetime.now()), str(datetime.date.today()), time.ctime()]
        machine = abs(page.real_time_ns() - US * 1_000) > 10**15
        page.run_from(US)
        first = time.time_ns() - US * 1_000
        while time.time_ns() == first:
            pass
        ran = time.time_ns() - US * 1_000
        page.remove()
        removed = abs(time.time_ns() - page.real_time_ns()) < 10**12
        say(real=real, simulated=simulated, machine=machine, first=first, ran=ran, removed=removed)
    """)

    first, ran = said.pop("first"), said.pop("ran")
    assert 0 <= first < ran < LONG * 10**9
    assert said == {
        "real": True,
        "simulated": [2_000_000_000_000_000_000, "2033-05-18 03:33:20", "2033-05-18", "Wed May 18 03:33:20 2033"],
        "machine": True,
        "removed": True,
    }


def test_reads_over_the_limit_call_the_function_each() -> None:
    said = run("""
        page.follow_page(3)
        for read in (time.time, time.time_ns, datetime.datetime.now, time.localtime, datetime.date.today, time.ctime):
            read()
        say(calls=calls)
    """)

    assert said["calls"] == [4, 5, 6]


@pytest.mark.parametrize("mode", ["page.follow_page(module.NO_LIMIT)", "page.run_from(US)"])
@pytest.mark.parametrize("far", [2_000_000_000_000_000, 1_000_000_000_000_000])
def test_a_lock_that_takes_its_deadline_from_the_wall_clock_waits_for_as_long_as_it_should(mode: str, far: int) -> None:
    """That is how CPython waits where the C library has no ``sem_clockwait``."""
    said = run(f"""
        US = {far}
        page.page[0] = US
        {mode}
        wait = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, use_errno=True)(
            page.functions["sem_timedwait"]
        )
        semaphore = ctypes.create_string_buffer(64)
        ctypes.CDLL(None).sem_init(semaphore, 0, 0)
        before = time.monotonic()
        deadline = (ctypes.c_int64 * 2)(*divmod(time.time_ns() + 200_000_000, 10**9))
        result = wait(ctypes.addressof(semaphore), ctypes.addressof(deadline))
        say(result=result, errno=errno.errorcode[ctypes.get_errno()], lasted=time.monotonic() - before)
    """)

    assert (said["result"], said["errno"]) == (-1, "ETIMEDOUT")
    assert 0.19 < said["lasted"] < LONG


@pytest.mark.parametrize("built_in", [True, False])
def test_semaphores_of_multiprocessing_in_the_interpreter_have_one_clock(built_in: bool) -> None:
    said = run(f"""
        page.remove()
        sys.builtin_module_names = ("_multiprocessing",) if {built_in} else ()
        page = module.ClockPage()
        page.install(lambda: None)
        page.page[0] = US
        page.follow_page(module.NO_LIMIT)
        read = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(page.functions["gettimeofday"])
        now = (ctypes.c_int64 * 2)()
        result = read(ctypes.addressof(now), None)
        say(now=[*now], result=[result, read(None, None)], redirected=page._is_redirected("gettimeofday"))
    """)

    assert said == {"now": [2_000_000_000, 0], "result": [0, 0], "redirected": built_in}


def test_a_processor_without_machine_code_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="riscv64"))

    with pytest.raises(Unavailable, match="there is no machine code for riscv64, only for x86_64 and aarch64"):
        ClockPage().install(lambda: None)


def test_where_the_interpreter_reads_the_clock_in_another_way_everything_is_as_before() -> None:
    said = run("""
        page.remove()
        second = module.ClockPage()
        prove = datetime.datetime
        class Other(datetime.datetime):
            @classmethod
            def now(cls, zone=None):
                return prove(2000, 1, 1, tzinfo=zone)
        module.datetime_module = type(sys)("datetime")
        vars(module.datetime_module).update(vars(datetime), datetime=Other)
        try:
            second.install(lambda: None)
        except module.Unavailable as error:
            say(why=str(error), active=second.active, real=abs(time.time_ns() - page.real_time_ns()) < 10**12)
    """)

    assert said == {
        "why": "datetime.now of this build of Python read the clock in another way",
        "active": False,
        "real": True,
    }
