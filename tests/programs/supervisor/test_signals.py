"""What a SIGTERM meets in a supervised program, what comes of it, and where it comes: at waits, gates and calls."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import NOT_RECEIVED, RECEIVED, START, short_log, user_lines
from signal_programs import LISTENS, NODE, in_c, works

from pytest_scf_async import assert_finished, assert_signal_handled, assert_stopped_within

# once: what a program does with a signal is the same, whatever Python runs the tests
pytestmark = pytest.mark.once

IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
BLOCKS = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})"
EXITS = "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))"
TAKES = f"""
{BLOCKS}
def take():
    global stopping
    os.write(1, b"took %d\\n" % signal.sigwait({{signal.SIGTERM}}))
    stopping = True
threading.Thread(target=take, daemon=True).start()
"""


ROWS_TO_THE_END = [f"row {row}" for row in range(5, 21)]


def seconds(number: float):
    return START + timedelta(seconds=number)


# -- in a wait ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setup", "disposition", "end"),
    [
        pytest.param(LISTENS, "handler", (200, 5, ["signal", "row 5"]), id="handler"),
        pytest.param(EXITS, "handler", (439, 4.5, []), id="handler that exits"),
        pytest.param("pass", "default", (439, 4.5, []), id="default"),
        pytest.param(IGNORES, "ignored", (200, 20, ROWS_TO_THE_END), id="ignored"),
        pytest.param(BLOCKS, "blocked", (200, 20, ROWS_TO_THE_END), id="blocked"),
        pytest.param(TAKES, "blocked", (200, 5, ["took 15", "row 5"]), id="sigwait"),
    ],
)
def test_a_sigterm_in_a_wait(deploy_image, runtime, setup, disposition, end):
    event = deploy_image(works(setup)).invoke_async()
    runtime.clock.advance(4.5)

    event.terminate(grace_shutdown=True)

    assert (event.signals[0].disposition, runtime.clock.now) == (disposition, seconds(4.5))
    event.wait()
    code, ends, lines = end
    assert (event.status_code, event.ended_at) == (code, seconds(ends))
    shown = [line for line in short_log(event) if line == RECEIVED or line.startswith(("row", "signal", "took"))]
    assert shown == ["row 1", "row 2", "row 3", "row 4", RECEIVED, *lines]


def test_a_handler_that_returned_and_the_work_went_on(deploy_image, runtime):
    event = deploy_image(works("signal.signal(signal.SIGTERM, lambda *_: None)")).invoke_async()
    runtime.clock.advance(4.5)
    event.terminate(grace_shutdown=True)
    assert_signal_handled(event)
    assert event.signals[0].entered_at == event.signals[0].left_at == seconds(4.5)

    assert event.wait().result == 20
    assert event.ended_at == seconds(20)
    with pytest.raises(
        AssertionError, match=r"likely cause: the SIGTERM handler returned, and the event ended 15.5 s after SIGTERM\n"
    ):
        assert_stopped_within(event, 5)


def test_each_of_two_sigterms_enters_the_handler(deploy_image, runtime):
    setup = """
        def count(signum, frame):
            os.write(1, b"signal\\n")
        signal.signal(signal.SIGTERM, count)
    """
    event = deploy_image(works(setup)).invoke_async()
    for second in (4.5, 2):
        runtime.clock.advance(second)
        event.terminate(grace_shutdown=True)

    assert [each.entered_at for each in event.signals] == [seconds(4.5), seconds(6.5)]
    assert_signal_handled(event)
    assert user_lines(event) == ["row 1", "row 2", "row 3", "row 4", "signal", "row 5", "row 6", "signal"]


def test_one_that_was_blocked_enters_the_handler_when_it_is_let_in(deploy_image, runtime):
    setup = f"""
        {LISTENS}
        {BLOCKS}
        def let_in():
            time.sleep(3)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {{signal.SIGTERM}})
            time.sleep(100)
        threading.Thread(target=let_in, daemon=True).start()
    """
    event = deploy_image(works(setup)).invoke_async()
    runtime.clock.advance(1.5)
    event.terminate(grace_shutdown=True)
    assert (event.signals[0].disposition, event.signals[0].entered_at) == ("blocked", None)
    assert "SIGTERM sent: the process has blocked it" in event.timeline

    event.wait()

    assert event.signals[0].entered_at == event.signals[0].left_at == seconds(3)


def test_before_the_first_line_there_is_no_process(deploy_image):
    event = deploy_image(works()).invoke_async().run_to("init")

    event.terminate(grace_shutdown=True)

    assert event.signals[0].disposition == "no process"
    assert short_log(event) == ["START", NOT_RECEIVED]
    assert event.wait().result == 20


def test_a_wait_without_end_in_a_system_call(deploy_image):
    setup = f"{LISTENS}\nprint('waits', flush=True)\nos.read(os.pipe()[0], 1)"
    handler = "signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'signal\\n'))"
    event = deploy_image(works(setup.replace(LISTENS, handler))).invoke_async().wait_for_log("waits")
    event.settle()

    event.terminate(grace_shutdown=True)

    assert_signal_handled(event)
    assert (event.doing, user_lines(event)) == ("parked", ["waits", "signal"])


# -- handlers that the kernel calls itself -----------------------------------------------------------------------------

SLEEPS = in_c("""
    os.write(1, b"enters\\n")
    time.sleep(3)
    os.write(1, b"leaves\\n")
    stopping = True
""")


def test_a_handler_that_sleeps_is_entered_and_leaves_in_time(deploy_image, runtime):
    event = deploy_image(works(SLEEPS)).invoke_async()
    runtime.clock.advance(1.5)

    event.terminate(grace_shutdown=True)

    assert (event.signals[0].entered_at, event.signals[0].left_at) == (seconds(1.5), None)
    assert (event.doing, runtime.clock.now) == ("parked", seconds(1.5))
    assert event.wait().result == 2
    assert event.signals[0].left_at == seconds(4.5)
    assert user_lines(event) == ["row 1", "enters", "leaves", "row 2"]


def test_a_sigterm_while_its_handler_runs_is_blocked_until_that_has_left(deploy_image, runtime):
    event = deploy_image(works(SLEEPS)).invoke_async()
    for second in (1.5, 1):
        runtime.clock.advance(second)
        event.terminate(grace_shutdown=True)

    event.wait()

    assert [each.disposition for each in event.signals] == ["handler", "blocked"]
    assert [each.entered_at for each in event.signals] == [seconds(1.5), seconds(4.5)]
    assert [each.left_at for each in event.signals] == [seconds(4.5), seconds(7.5)]
    assert user_lines(event) == ["row 1", "enters", "leaves", "enters", "leaves", "row 2"]


def test_a_handler_that_ends_the_process_is_never_left(deploy_image, runtime):
    event = deploy_image(works(in_c("os._exit(0)"))).invoke_async()
    runtime.clock.advance(1.5)

    event.terminate(grace_shutdown=True)

    assert (event.status_code, event.signals[0].left_at) == (439, None)
    with pytest.raises(AssertionError, match=r"the process ended inside its SIGTERM handler \(exit code 0\)"):
        assert_signal_handled(event)


def test_a_handler_within_a_handler(deploy_image, runtime):
    body = """
        os.write(1, b"enters\\n")
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(3)
        stopping = True
    """
    other = """
        def on_other(signum):
            os.write(1, b"other\\n")
        other = ctypes.CFUNCTYPE(None, ctypes.c_int)(on_other)
        ctypes.CDLL(None).signal(int(signal.SIGUSR1), other)
    """
    setup = in_c(body) + "\n".join(line[8:] for line in other.splitlines())
    event = deploy_image(works(setup)).invoke_async()
    runtime.clock.advance(1.5)
    event.terminate(grace_shutdown=True)
    assert (user_lines(event), event.signals[0].left_at) == (["row 1", "enters", "other"], None)

    event.wait()

    assert event.signals[0].left_at == seconds(4.5)


def test_a_handler_that_bash_jumps_out_of_has_been_left(deploy_image, runtime):
    script = "trap 'echo trapped; exit 0' TERM; python app.py & wait"
    event = deploy_image(works("pass"), command=["bash", "-c", script]).invoke_async()
    runtime.clock.advance(1.5)

    event.terminate(grace_shutdown=True)

    assert (event.status_code, user_lines(event)) == (439, ["row 1", "trapped"])
    assert event.signals[0].left_at == event.ended_at == seconds(1.5)


# -- at a gate ---------------------------------------------------------------------------------------------------------


def test_at_a_line_the_handler_is_called_there_and_nothing_else_goes_on(deploy_image, runtime):
    event = deploy_image(works(in_c("os.write(1, b'signal\\n')\nstopping = True"))).invoke_async()
    event.wait_for_log("row 5")

    event.terminate(grace_shutdown=True)

    assert (event.doing, runtime.clock.now) == ("gated", seconds(5))
    assert user_lines(event)[-2:] == ["row 5", "signal"]
    assert_signal_handled(event)
    assert event.wait().result == 5
    assert event.ended_at == seconds(5)


def test_at_a_line_the_handler_can_look_whether_a_child_has_ended(deploy_image):
    child = "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\n"
    looks = in_c("os.write(1, b'ended: %d\\n' % os.waitpid(child.pid, os.WNOHANG)[0])\nstopping = True")
    event = deploy_image(works(child + looks)).invoke_async().wait_for_log("row 5")

    event.terminate(grace_shutdown=True)

    assert (event.doing, user_lines(event)[-2:]) == ("gated", ["row 5", "ended: 0"])
    assert event.wait().result == 5


def test_at_a_line_of_a_program_that_never_waits(deploy_image):
    endless = "while not stopping: rows += 1; os.write(1, b'row %d\\n' % rows)"
    source = works().replace("while not stopping and rows < 20:\n        time.sleep(1)", f"{endless}\n    while False:")
    event = deploy_image(source).invoke_async().wait_for_log("row 500")

    event.terminate(grace_shutdown=True)

    assert_signal_handled(event)
    assert event.wait().result == 500
    assert user_lines(event)[-2:] == ["row 500", "signal"]


@pytest.mark.parametrize("interpreter", ["sh", "bash"])
def test_at_a_line_of_a_shell_that_never_waits(deploy_image, interpreter):
    script = """
        trap 'echo trapped; exit 0' TERM
        row=0
        while :; do row=$((row + 1)); echo "row $row"; done
    """
    event = deploy_image("", command=[interpreter, "-c", script]).invoke_async().wait_for_log("row 500")

    event.terminate(grace_shutdown=True)

    assert (event.doing, event.signals[0].disposition) == ("gated", "handler")
    event.wait()
    assert (event.status_code, user_lines(event)[-2:]) == (439, ["row 500", "trapped"])


@pytest.mark.parametrize(
    ("setup", "disposition"), [(IGNORES, "ignored"), (BLOCKS, "blocked")], ids=["ignored", "blocked"]
)
def test_at_a_line_it_leaves_the_program_there_that_does_not_take_it(deploy_image, runtime, setup, disposition):
    event = deploy_image(works(setup)).invoke_async().wait_for_log("row 5")

    for _ in range(2):
        event.terminate(grace_shutdown=True)
        assert (event.doing, user_lines(event)[-1], runtime.clock.now) == ("gated", "row 5", seconds(5))

    assert [each.disposition for each in event.signals] == [disposition] * 2
    assert event.wait().result == 20
    assert event.ended_at == seconds(20)


def test_at_a_line_another_thread_takes_it_and_all_but_the_first_go_on(deploy_image):
    event = deploy_image(works(TAKES)).invoke_async().wait_for_log("row 5")

    event.terminate(grace_shutdown=True)

    assert (event.doing, user_lines(event)[-2:]) == ("gated", ["row 5", "took 15"])
    assert event.wait().result == 5


def test_at_a_line_of_a_thread_the_first_thread_takes_it(deploy_image):
    reports = in_c("os.write(1, b'first\\n' if threading.get_native_id() == os.getpid() else b'another\\n')")
    event = deploy_image(works(reports, server="ThreadingHTTPServer")).invoke_async().wait_for_log("row 5")

    event.terminate(grace_shutdown=True)

    assert (event.doing, user_lines(event)[-2:]) == ("gated", ["row 5", "first"])
    assert event.wait().result == 20


def test_at_a_line_of_a_child_the_program_itself_takes_it(deploy_image):
    script = "trap 'echo trapped' TERM; python app.py & wait; echo over; wait"
    event = deploy_image(works(), command=["sh", "-c", script]).invoke_async().wait_for_log("row 5")

    event.terminate(grace_shutdown=True)

    assert (event.doing, user_lines(event)[-3:]) == ("gated", ["row 5", "trapped", "over"])
    assert_signal_handled(event)
    assert event.wait().result == 20


def test_at_a_line_a_handler_that_sleeps_does_so_once_the_gate_is_open(deploy_image, runtime):
    event = deploy_image(works(SLEEPS)).invoke_async().wait_for_log("row 2")

    event.terminate(grace_shutdown=True)

    assert (event.doing, user_lines(event)[-2:], runtime.clock.now) == ("gated", ["row 2", "enters"], seconds(2))
    assert event.signals[0].left_at is None
    assert event.wait().result == 2
    assert event.signals[0].left_at == event.ended_at == seconds(5)


def test_two_at_one_gate(deploy_image):
    event = deploy_image(works(in_c("os.write(1, b'signal\\n')"))).invoke_async().wait_for_log("row 5")

    for _ in range(2):
        event.terminate(grace_shutdown=True)

    assert (event.doing, user_lines(event)[-3:]) == ("gated", ["row 5", "signal", "signal"])
    assert_signal_handled(event)
    assert event.wait().result == 20


# -- while a child is started ------------------------------------------------------------------------------------------


def test_in_a_vfork_it_is_blocked_and_comes_once_the_child_has_begun(deploy_image):
    setup = f"""
        {LISTENS}
        fifo = os.environ.get("TMPDIR", "/tmp") + "/fifo"
        def start():
            os.mkfifo(fifo)
            if os.fork() == 0:
                time.sleep(3)
                open(fifo, "wb")
                os._exit(0)
            print("starts", flush=True)
            actions = [(os.POSIX_SPAWN_OPEN, 0, fifo, os.O_RDONLY, 0)]
            os.posix_spawn("/bin/true", ["true"], os.environ, file_actions=actions)
            print("started", flush=True)
    """
    source = works(setup).replace("rows = 0\n", "rows = 0\n    start()\n", 1)
    event = deploy_image(source).invoke_async().wait_for_log("starts")
    event.settle()

    event.terminate(grace_shutdown=True)

    assert (event.status, user_lines(event), event.signals[0].disposition) == ("RUNNING", ["starts"], "blocked")
    assert event.wait().result == 0
    assert event.signals[0].entered_at == seconds(3)
    assert user_lines(event) == ["starts", "signal", "started"]


# -- what catches it before the program does ---------------------------------------------------------------------------


def assert_native(event, runtime) -> None:
    """It handles the signal at the second at which it came; only its own line shows that."""
    event.wait_for_log("row 4")
    runtime.clock.advance(0.5)
    event.terminate(grace_shutdown=True)

    assert (event.signals[0].disposition, event.signals[0].entered_at) == ("native", None)
    assert (event.doing, user_lines(event)[-2:]) == ("parked", ["row 4", "signal"])
    with pytest.raises(AssertionError) as failure:
        assert_signal_handled(event)
    assert "found that SIGTERM was caught by the runtime of the program's language" in str(failure.value)
    assert "SIGTERM handler write a line, and use assert_logged()" in str(failure.value)
    event.wait()
    assert (event.status, event.ended_at) == ("FINISHED", seconds(5))
    assert_stopped_within(event, 1)


@pytest.mark.nodejs
def test_a_program_in_node(deploy_image, runtime):
    assert_native(deploy_image(NODE, command=["node", "app.py"]).invoke_async(), runtime)


@pytest.mark.go
def test_a_program_in_go(deploy_image, runtime, go_server):
    assert_native(deploy_image("", command=[go_server]).invoke_async(), runtime)


@pytest.mark.nodejs
def test_a_program_in_node_that_does_not_listen(deploy_image, runtime):
    source = NODE.replace("process.on('SIGTERM'", "void ('SIGTERM'")
    event = deploy_image(source, command=["node", "app.py"]).invoke_async().wait_for_log("row 2")

    event.terminate(grace_shutdown=True)

    assert (event.status_code, event.signals[0].disposition) == (439, "native")
    with pytest.raises(AssertionError, match="nothing in the program handled SIGTERM, which ended it"):
        assert_finished(event)


@pytest.mark.go
def test_at_a_line_in_go_the_listener_runs_before_the_rest_goes_on(deploy_image, go_server):
    event = deploy_image("", command=[go_server]).invoke_async().wait_for_log("row 5")

    event.terminate(grace_shutdown=True)

    assert (event.doing, user_lines(event)[-2:]) == ("gated", ["row 5", "signal"])
    assert event.wait().result == 5


@pytest.mark.nodejs
def test_at_a_line_in_node_the_listener_runs_when_that_row_is_done(deploy_image):
    event = deploy_image(NODE, command=["node", "app.py"]).invoke_async().wait_for_log("row 5")

    event.terminate(grace_shutdown=True)

    assert (event.doing, user_lines(event)[-1]) == ("gated", "row 5")
    assert event.wait().result == 5
    assert user_lines(event)[-2:] == ["row 5", "signal"]
