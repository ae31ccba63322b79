"""``signal.pause``, ``sigwait``, ``sigwaitinfo``, ``sigtimedwait``: waits on simulated time that a signal ends."""

from __future__ import annotations

import os
import signal
import textwrap
from datetime import timedelta

import pytest
from internals import event_of
from process_support import RECEIVED, START, short_log, user_lines

from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

COLD = ["START", "INIT 0ms"]
PRELUDE = """
import os, queue, signal, subprocess, sys, threading, time
from signal import SIGALRM, SIGCHLD, SIGTERM, SIGUSR1, SIGUSR2

class Stop(Exception):
    pass

def stamp(*what):
    print(f"{(time.time_ns() // 1_000 - 1_767_225_600_000_000) / 1_000_000:.12g}", *what)

def term(signum, frame):
    stamp("term")

def stops(signum, frame):
    raise Stop("the signal")

def block(*signums):
    signal.pthread_sigmask(signal.SIG_BLOCK, signums)

def kill(signum):
    os.kill(os.getpid(), signum)

def later(seconds, signum):
    threading.Thread(target=lambda: (time.sleep(seconds), kill(signum)), daemon=True).start()

"""


def handler(body: str) -> str:
    return f"{PRELUDE}def main_handler(event, context):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"


# -- a SIGTERM in a wait for something else --------------------------------------------------------------------------

IN_A_WAIT = """
block(SIGUSR1)
signal.signal(SIGTERM, LISTENER)
later(100, SIGUSR1)
try:
    WAIT
    stamp("over")
except Stop as stop:
    stamp("ended by", stop)
"""


def in_a_wait(wait: str, listener: str) -> str:
    return handler(IN_A_WAIT.replace("WAIT", wait).replace("LISTENER", listener))


@pytest.mark.repeat
def test_a_handler_that_returns_ends_a_pause(deploy, runtime: ScfRuntime) -> None:
    event = deploy(in_a_wait("signal.pause()", "term")).invoke_async()
    event.settle()
    runtime.clock.advance(30)

    event.terminate(grace_shutdown=True)

    assert event.ended
    assert runtime.clock.now == START + timedelta(seconds=30)
    assert user_lines(event) == ["30 term", "30 over"]
    assert (event.status, event.signals[0].disposition) == ("FINISHED", "handler")
    assert event.signals[0].entered_at == START + timedelta(seconds=30)


def test_what_a_handler_raises_after_sigwait_does_not_give_the_signal_back(deploy, runtime: ScfRuntime) -> None:
    event = deploy(in_a_wait("signal.sigwait({SIGUSR1})", "stops") + "    print(signal.sigpending())\n").invoke_async()
    event.settle()
    event.terminate(grace_shutdown=True)
    assert "SIGTERM handler deferred until the main thread's wait is over" in event.timeline
    event.wait()

    assert user_lines(event) == ["100 ended by the signal", "set()"]


def test_signals_that_come_again_in_sigwait_call_their_handlers_once(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        handler("""
        block(SIGUSR1)
        signal.signal(SIGTERM, term)
        signal.signal(SIGUSR2, lambda *_: stamp("handler"))
        def send():
            for _ in range(3):
                time.sleep(10)
                kill(SIGUSR2)
                stamp("sent")
            time.sleep(10)
            kill(SIGUSR1)
        thread = threading.Thread(target=send)
        thread.start()
        signal.sigwait([SIGUSR1])
        stamp("over")
        thread.join()
        """)
    ).invoke_async()
    event.settle()
    for _ in range(3):
        runtime.clock.advance(6)
        event.terminate(grace_shutdown=True)
    event.wait()

    lines = user_lines(event)
    assert lines[:3] == ["10 sent", "20 sent", "30 sent"]
    assert sorted(lines[3:-1]) == ["40 handler", "40 term"]
    assert lines[-1] == "40 over"
    assert [each.entered_at is None for each in event.signals] == [False, True, True]


# -- a SIGTERM that is waited for ------------------------------------------------------------------------------------

TAKES = {
    "sigwait": "signal.sigwait([SIGTERM])",
    "sigwaitinfo": "signal.sigwaitinfo([SIGTERM])[0]",
    "sigtimedwait": "signal.sigtimedwait([SIGTERM, SIGUSR1], 1_000)[0]",
}
ON_MAIN = """
block(SIGTERM)
taken = TAKE
assert taken == SIGTERM
stamp("took it")
time.sleep(5)
return "stopped early"
"""
ON_A_THREAD = """
block(SIGTERM)
stopping = threading.Event()
def listen():
    assert TAKE == SIGTERM
    stamp("took it")
    stopping.set()
threading.Thread(target=listen, daemon=True).start()
while not stopping.wait(7):
    pass
time.sleep(5)
return "stopped early"
"""


@pytest.mark.repeat
@pytest.mark.parametrize("leases", [True, False])
@pytest.mark.parametrize("where", [ON_MAIN, ON_A_THREAD], ids=["main", "a thread"])
@pytest.mark.parametrize("kind", TAKES)
def test_a_graceful_termination_is_taken_by_who_waits_for_it(
    deploy, make_runtime, kind: str, where: str, leases: bool
) -> None:
    runtime = make_runtime(leases=leases)
    event = deploy(handler(where.replace("TAKE", TAKES[kind])), to=runtime).invoke_async()
    event.settle()
    runtime.clock.advance(30)

    event.terminate(grace_shutdown=True)

    assert short_log(event) == [*COLD, RECEIVED, "30 took it"]
    assert (event.status, event.doing) == ("RUNNING", "parked")
    assert (event.signals[0].received, event.signals[0].disposition) == (True, "blocked")
    assert f"{kind}" in event.timeline.rpartition(" took SIGTERM")[0].splitlines()[-1]
    assert event.wait().result == "stopped early"
    assert event.duration == timedelta(seconds=35)


@pytest.mark.repeat
def test_each_of_many_is_taken_at_its_instant(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        handler("""
        block(SIGTERM)
        def listen():
            while True:
                signal.sigwait([SIGTERM])
                stamp("took it")
        threading.Thread(target=listen, daemon=True).start()
        time.sleep(800)
        """)
    ).invoke_async()
    event.settle()
    for _ in range(100):
        runtime.clock.advance(1)
        event.terminate(grace_shutdown=True)
        event.settle()
        runtime.clock.advance(1)
    event.wait()

    assert user_lines(event) == [f"{at} took it" for at in range(1, 200, 2)]


@pytest.mark.parametrize("listens", [True, False])
def test_it_is_taken_while_the_main_thread_is_in_a_real_wait(deploy, latch, listens: bool) -> None:
    event = deploy(
        handler(f"""
        block(SIGTERM)
        def listen():
            signal.sigwait([SIGTERM])
            stamp("took it")
            with open({latch.path!r}, "w") as latch:
                latch.write("x")
        if {listens}:
            threading.Thread(target=listen).start()
        open({latch.path!r}).read(1)
        """)
    ).invoke_async()
    event.settle()

    event.terminate(grace_shutdown=True)

    assert event.signals[0].disposition == "blocked"
    if listens:
        assert event.wait().status == "FINISHED"
        assert user_lines(event) == ["0 took it"]
    else:
        assert event.doing == "held"


def test_it_is_taken_even_where_it_is_ignored_and_by_a_pending_event(deploy) -> None:
    source = "signal.signal(SIGTERM, signal.SIG_IGN)\n" + ON_MAIN.replace("TAKE", TAKES["sigwait"])
    event = deploy(handler(source)).invoke_async()

    event.terminate(grace_shutdown=True)

    assert user_lines(event) == ["0 took it"]
    assert event.wait().duration == timedelta(seconds=5)


@pytest.mark.sandbox
def test_who_sent_it_is_the_process_of_the_test(deploy) -> None:
    event = deploy(
        handler("""
        block(SIGTERM)
        info = signal.sigwaitinfo({SIGTERM})
        return [info.si_signo, info.si_code, info.si_errno, info.si_pid, info.si_uid, os.getpid()]
        """)
    ).invoke_async()

    event.terminate(grace_shutdown=True)

    *info, pid = event.wait().result
    assert info == [signal.SIGTERM, 0, 0, os.getpid(), os.getuid()]
    assert pid == event.instance.pid


def test_a_blocked_one_that_nobody_waits_for_yet_is_found_later(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        handler("""
        block(SIGTERM)
        time.sleep(10)
        stamp(signal.sigtimedwait({SIGTERM}, 100).si_signo)
        stamp(signal.sigtimedwait({SIGTERM}, 2))
        """)
    ).invoke_async()

    event.terminate(grace_shutdown=True)
    event.wait()

    assert user_lines(event) == ["10 15", "12.000001 None"]


def test_main_that_does_not_block_it_has_it_although_a_thread_waits_for_it(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        handler("""
        signal.signal(SIGTERM, term)
        def listen():
            block(SIGTERM)
            stamp("thread", signal.sigtimedwait({SIGTERM}, 50))
        thread = threading.Thread(target=listen)
        thread.start()
        time.sleep(40)
        kill(SIGTERM)
        thread.join()
        """)
    ).invoke_async()
    event.settle()
    runtime.clock.advance(30)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert event.signals[0].disposition == "handler"
    assert user_lines(event) == ["30 term", "40 term", "50.000001 thread None"]


def test_main_that_waits_for_one_with_a_handler_takes_it_and_the_handler_is_not_called(deploy) -> None:
    event = deploy(
        handler("""
        signal.signal(SIGUSR1, lambda *_: stamp("handler"))
        block(SIGUSR1)
        thread = threading.Thread(target=lambda: (time.sleep(5), kill(SIGUSR1)))
        thread.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [SIGUSR1])
        stamp(signal.sigwaitinfo([SIGUSR1]).si_signo)
        kill(SIGUSR1)
        """)
    ).invoke_async()
    event.wait()

    assert user_lines(event) == ["5 10", "5 handler"]


# -- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeout", "at"),
    [("0.5", "0.500001"), ("1e-9", "2e-06"), ("True", "1.000001"), ("0", "0"), ("0.0", "0")],
)
def test_a_timeout_is_over_one_microsecond_after_it(deploy, timeout: str, at: str) -> None:
    event = deploy(handler(f"stamp(signal.sigtimedwait([SIGUSR1], {timeout}))")).invoke_async().wait()

    assert user_lines(event) == [f"{at} None"]


REFUSED = [
    "signal.sigtimedwait([1], -1)",
    "signal.sigtimedwait([1], 'x')",
    "signal.sigtimedwait([1], None)",
    "signal.sigtimedwait([1], float('nan'))",
    "signal.sigtimedwait([1], float('inf'))",
    "signal.sigtimedwait([1], 1e20)",
    "signal.sigtimedwait(5, 1)",
    "signal.sigtimedwait([99], 1)",
    "signal.sigtimedwait(['x'], 1)",
    "signal.sigwait(5)",
    "signal.sigwait([0])",
    "signal.sigwaitinfo(['x'])",
    "signal.sigwaitinfo([99])",
]


def test_what_the_real_functions_refuse_is_refused_in_their_words(deploy) -> None:
    words = []
    for call in REFUSED:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            eval(call)  # noqa: S307
        words.append(f"{call}: {caught.type.__name__}: {caught.value}")
    event = deploy(
        handler(f"""
        for call in {REFUSED!r}:
            try:
                eval(call)
            except Exception as error:
                print(f"{{call}}: {{type(error).__name__}}: {{error}}")
        print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        """)
    ).invoke_async()
    event.wait()

    assert user_lines(event) == [*words, "set()"]


@pytest.mark.parametrize("leases", [True, False])
def test_an_alarm_ends_a_pause_and_is_taken_by_a_sigwait(deploy, make_runtime, leases: bool) -> None:
    source = handler("""
        signal.signal(SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 1, 2)
        for _ in range(3):
            stamp(signal.pause())
        block(SIGALRM)
        for _ in range(3):
            stamp(signal.sigwait({SIGALRM}).name)
        stamp(list(signal.sigwaitinfo({SIGALRM})))
        time.sleep(7)
        stamp(signal.sigtimedwait({SIGALRM}, 1).si_signo, signal.getitimer(signal.ITIMER_REAL))
    """)
    event = deploy(source, to=make_runtime(leases=leases)).invoke_async().wait()

    taken = [f"{at} SIGALRM" for at in (7, 9, 11)]
    assert user_lines(event) == [
        *(f"{at} None" for at in (1, 3, 5)),
        *taken,
        "13 [14, 128, 0, 0, 0, 0, 0]",
        "20 14 (1.0, 2.0)",
    ]


# -- threads and children --------------------------------------------------------------------------------------------


def test_who_waits_for_longest_has_the_signal_and_each_has_one(deploy) -> None:
    event = deploy(
        handler("""
        block(SIGUSR1, SIGUSR2)
        def wait(number, *signums):
            stamp(number, signal.sigwait(signums).name)
        threads = [threading.Thread(target=wait, args=args) for args in
            ((0, SIGUSR1), (1, SIGUSR1, SIGUSR2), (2, SIGUSR2), (3, SIGUSR2))]
        for thread in threads:
            thread.start()
            time.sleep(1)
        kill(SIGUSR1)
        time.sleep(1)
        kill(SIGUSR2)
        kill(SIGUSR1)
        time.sleep(1)
        signal.pthread_kill(threads[3].ident, SIGUSR2)
        kill(SIGUSR2)
        for thread in threads:
            thread.join()
        print(signal.sigpending())
        """)
    ).invoke_async()
    event.wait()

    assert user_lines(event) == ["4 0 SIGUSR1", "5 1 SIGUSR1", "5 2 SIGUSR2", "6 3 SIGUSR2", "{<Signals.SIGUSR2: 12>}"]


def test_pause_of_another_thread_ends_with_a_signal_to_that_thread(deploy) -> None:
    event = deploy(
        handler("""
        signal.signal(SIGUSR1, lambda *_: stamp("handler on", threading.current_thread().name))
        def wait():
            signal.pause()
            stamp("paused")
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(1)
        kill(SIGUSR1)
        time.sleep(1)
        signal.pthread_kill(thread.ident, SIGUSR1)
        time.sleep(1)
        thread.join()
        """)
    ).invoke_async()
    event.wait()

    on_main = "handler on MainThread"
    assert user_lines(event) == [f"1 {on_main}", f"2 {on_main}", "2 paused"]


def test_pause_goes_on_after_signals_that_call_no_handler(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        handler("""
        signal.signal(SIGUSR1, signal.SIG_IGN)
        signal.signal(SIGUSR2, lambda *_: stamp("handler"))
        def send():
            for signum in SIGUSR1, signal.SIGCONT, SIGUSR2:
                time.sleep(1)
                kill(signum)
        threading.Thread(target=send).start()
        signal.pause()
        stamp("over")
        """)
    ).invoke_async()
    event.settle()
    event_of(event).instance.poke()
    runtime.clock.advance(2.5)
    assert user_lines(event) == []
    event.wait()

    assert user_lines(event) == ["3 handler", "3 over"]


def test_a_handler_may_pause_itself(deploy) -> None:
    event = deploy(
        handler("""
        def outer(signum, frame):
            stamp("outer")
            signal.pause()
            stamp("outer over")
        signal.signal(SIGUSR1, outer)
        signal.signal(SIGUSR2, lambda *_: stamp("inner"))
        later(1, SIGUSR1)
        later(2, SIGUSR2)
        signal.pause()
        stamp("over")
        """)
    ).invoke_async()
    event.wait()

    assert user_lines(event) == ["1 outer", "2 inner", "2 outer over", "2 over"]


@pytest.mark.parametrize("beside", ["", "threading.Thread(target=time.sleep, args=(3_600,), daemon=True).start()"])
def test_the_end_of_a_child_is_waited_for_while_it_holds_the_clock(deploy, beside: str) -> None:
    event = deploy(
        handler(f"""
        block(SIGCHLD)
        {beside}
        for code in range(3):
            command = f"import time; time.sleep(0.05); raise SystemExit({{code}})"
            child = subprocess.Popen([sys.executable, "-c", command])
            info = signal.sigtimedwait([SIGCHLD], 1_000)
            stamp(info.si_pid == child.pid, info.si_status, child.wait())
        """)
    ).invoke_async()
    event.wait()

    assert user_lines(event) == [f"0 True {code} {code}" for code in range(3)]


def test_in_a_fork_they_are_real(deploy) -> None:
    event = deploy(
        handler("""
        block(SIGUSR1)
        signal.signal(SIGUSR2, lambda *_: None)
        pid = os.fork()
        if pid == 0:
            threading.Timer(0.01, os.kill, (os.getpid(), SIGUSR1)).start()
            first = signal.sigwait([SIGUSR1]) == SIGUSR1 and signal.sigtimedwait([SIGUSR1], 0.01) is None
            def sends():  # again and again: the first may come before the wait begins
                while True:
                    time.sleep(0.01)
                    kill(SIGUSR2)
            threading.Thread(target=sends, daemon=True).start()
            signal.pause()
            os._exit(7 if first else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """)
    ).invoke_async()
    event.wait()

    assert user_lines(event) == ["7"]


MIXED = handler("""
    block(SIGUSR1, SIGUSR2, SIGALRM)
    signal.signal(SIGTERM, term)
    jobs = queue.Queue()
    def listen(number):
        while (info := signal.sigtimedwait([SIGUSR1, SIGUSR2], 1.3)) is None or info.si_signo == SIGUSR1:
            stamp("listener", number, info and info.si_signo)
            jobs.put(number)
        stamp("listener", number, "ends")
    def ring():
        signal.setitimer(signal.ITIMER_REAL, 0.4, 0.9)
        for _ in range(6):
            signal.sigwait({SIGALRM})
            stamp("rings")
            kill(SIGUSR1)
    threads = [threading.Thread(target=listen, args=(number,)) for number in range(3)]
    threads.append(threading.Thread(target=ring))
    for thread in threads: thread.start()
    for _ in range(9):
        stamp("job of", jobs.get())
        if _ % 3 == 0: kill(SIGTERM)
        time.sleep(0.25)
    threads.pop().join()
    for thread in threads:
        signal.pthread_kill(thread.ident, SIGUSR2)
        thread.join()
""")


@pytest.mark.repeat
def test_every_run_is_the_same_with_leases_and_without(deploy, make_runtime) -> None:
    traces = []
    for leases in (True, False, True):
        event = deploy(MIXED, to=make_runtime(leases=leases), name="mixed").invoke_async().wait()
        assert event.status == "FINISHED", event.log
        traces.append([line.partition(" MemUsage")[0] for line in event.timeline.splitlines()])

    assert traces[0] == traces[1] == traces[2]
    assert sum("rings" in line for line in traces[0]) == 6
