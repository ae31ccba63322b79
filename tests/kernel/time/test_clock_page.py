"""The clock page: the interpreter's own clocks and classes are genuine, and show simulated time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from process_support import CERTIFICATE, START

from pytest_scf_async import assert_signal_handled
from pytest_scf_async.plugin.plugin import _configured as configured
from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]


def test_functions_and_classes_of_the_wall_clock_are_genuine(deploy, make_runtime) -> None:
    result = deploy(
        """
        import _datetime, datetime, sys, time

        def main_handler(event, context):
            names = ("time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "strftime")
            return {
                "functions": {name: type(getattr(time, name)).__name__ for name in names},
                "classes": [datetime.datetime is _datetime.datetime, datetime.date is _datetime.date],
                "types": [type(datetime.datetime.now()) is _datetime.datetime, type(datetime.date) is type],
                "freezegun": [name for name in sys.modules if name.partition(".")[0] in ("freezegun", "dateutil")],
            }
        """,
        to=make_runtime(clock="page"),
    ).run()

    assert set(result["functions"].values()) == {"builtin_function_or_method"}
    assert result["classes"] == result["types"] == [True, True]
    assert result["freezegun"] == []


POLLS = """
    import datetime, signal, threading, time

    def poll(seconds):
        end = datetime.datetime.now() + datetime.timedelta(seconds=seconds)
        while datetime.datetime.now() < end:
            pass
        return time.time_ns()
"""


@pytest.mark.parametrize("where", ["main", "thread"])
def test_a_loop_until_a_datetime_ends_within_a_millisecond_of_it(deploy, runtime: ScfRuntime, where: str) -> None:
    function = deploy(
        POLLS
        + """
    def main_handler(event, context):
        ended = []
        if event == "main":
            ended.append(poll(2))
        else:
            thread = threading.Thread(target=lambda: ended.append(poll(2)))
            thread.start()
            thread.join()
        return (ended[0] - 1767225600_000_000_000) // 1_000
        """
    )

    assert 2_000_000 <= function.run(where) <= 2_001_000
    assert timedelta(seconds=2) <= function.events[0].duration <= timedelta(seconds=2.001)


READS = ["datetime.datetime.now()", "datetime.date.today()", "time.time()", "time.localtime()", "time.monotonic()"]


@pytest.mark.parametrize("read", READS)
@pytest.mark.repeat
def test_an_exception_of_a_signals_handler_leaves_a_loop_that_polls_the_clock(
    deploy, runtime: ScfRuntime, read: str
) -> None:
    event = deploy(
        f"""
        import datetime, signal, time

        class Stop(Exception):
            pass

        def stop(signum, frame):
            raise Stop(frame.f_code.co_name, time.time() - 1767225600)

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, stop)
            try:
                while True:
                    {read}
            except Stop as error:
                return error.args
        """
    ).invoke_async()
    runtime.clock.advance(10)

    event.terminate(grace_shutdown=True)

    assert event.wait().result == ["main_handler", 10]
    assert event.ended_at == START + timedelta(seconds=10)
    assert [each.raised for each in event.signals] == ["Stop: ('main_handler', 10.0)"]


@pytest.mark.repeat
def test_a_loop_that_polls_the_clock_goes_on_after_a_signals_handler_which_waits(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        POLLS
        + """
    def main_handler(event, context):
        seen = []
        def handler(signum, frame):
            seen.append(time.time() - 1767225600)
            time.sleep(1)
            poll(1)
            seen.append(round(time.time() - 1767225600, 2))
        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 30)
        poll(60)
        return seen
        """
    ).invoke_async()
    runtime.clock.advance(10)

    event.terminate(grace_shutdown=True)
    event.wait()

    assert event.result == [10, 12, 30, 32]
    assert_signal_handled(event)
    assert event.duration.total_seconds() == pytest.approx(60, abs=0.01)


def test_a_thread_that_polls_the_clock_is_no_obstacle_to_a_signal(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        POLLS
        + """
    def main_handler(event, context):
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        def work():
            while not stop.is_set():
                datetime.datetime.now()
        thread = threading.Thread(target=work)
        thread.start()
        stop.wait()
        thread.join()
        """
    ).invoke_async()
    runtime.clock.advance(10)

    event.terminate(grace_shutdown=True)

    assert event.wait().status == "FINISHED"
    assert START + timedelta(seconds=10) <= event.ended_at <= START + timedelta(seconds=10.002)


def test_the_clock_of_the_test_and_that_of_a_handler_are_rounded_alike(deploy, runtime: ScfRuntime) -> None:
    function = deploy(
        """
        import logging, time

        def main_handler(event, context):
            time.sleep(event)
            record = logging.makeLogRecord({})
            return [time.time(), record.created, time.clock_gettime(time.CLOCK_REALTIME), time.time_ns()]
        """
    )
    for seconds in (0.25, 0.123457, 0.000001, 86_399.7, 0.333333):
        seen = function.run(seconds)
        assert seen == [runtime.clock.time()] * 3 + [runtime.clock.now_us * 1_000]


@pytest.mark.parametrize("year", [2010, 2150])
def test_tls_judges_the_dates_of_certificates_by_the_machines_clock(
    deploy, request: pytest.FixtureRequest, tmp_path: Path, year: int
) -> None:
    start = datetime(year, 1, 1, tzinfo=timezone.utc)
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE)
    with ScfRuntime(configured(request.config), start=start, base_temp=tmp_path, root=tmp_path) as runtime:
        result = deploy(
            """
            import datetime, ssl

            def main_handler(path, context):
                client, server = ssl.create_default_context(cafile=path), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                server.load_cert_chain(path)
                there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
                ours = client.wrap_bio(back, there, server_hostname="localhost")
                theirs = server.wrap_bio(there, back, server_side=True)
                for _ in range(3):
                    for end in (ours, theirs):
                        try:
                            end.do_handshake()
                        except ssl.SSLWantReadError:
                            continue
                return [ours.getpeercert()["subject"][0][0][1], datetime.date.today().year]
            """,
            to=runtime,
        ).run(str(path))

    assert result == ["localhost", year]


def test_elapsed_of_os_times_is_simulated_and_processor_time_is_not(deploy) -> None:
    before, after, cpu = deploy(
        """
        import os, time

        def main_handler(event, context):
            before = os.times()
            time.sleep(3600)
            after = os.times()
            assert type(before) is os.times_result
            return [before.elapsed, after.elapsed, after.user + after.system - before.user - before.system]
        """
    ).run()

    assert after - before == 3600
    assert cpu < 600


def test_a_freeze_of_the_handlers_own_freezes_genuine_classes_and_gives_them_back(deploy, make_runtime) -> None:
    runtime = make_runtime(clock="page")
    function = deploy(
        """
        import datetime, logging, queue, sys, threading, time
        from datetime import datetime as bound
        from freezegun import freeze_time

        genuine = datetime.datetime, datetime.date, time.time, time.localtime

        def main_handler(event, context):
            with freeze_time("2020-02-03 04:05:06", tick=event == "tick"):
                inside = [str(bound.now())[:19], str(datetime.datetime.now())[:19], int(time.time())]
                inside.append(int(logging.makeLogRecord({}).created))
                worker = threading.Thread(target=time.sleep, args=(5,))
                worker.start()
                worker.join(60)
                try:
                    queue.Queue().get(timeout=5)
                except queue.Empty:
                    inside.append("empty")
                inside.append(threading.Lock().acquire(timeout=1))
            assert genuine == (datetime.datetime, datetime.date, time.time, time.localtime)
            return [*inside, str(bound.now()), time.time()]
        """,
        to=runtime,
    )

    for way in ("frozen", "tick"):
        *inside, after, stamp = function.run(way)
        assert inside == ["2020-02-03 04:05:06"] * 2 + [1580702706] * 2 + ["empty", True]
        assert after == str(function.events[-1].ended_at.replace(tzinfo=None))
        assert stamp == runtime.clock.time()
