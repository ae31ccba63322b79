"""The root logger is set up as on the platform: at DEBUG, with the message alone on stdout."""

from __future__ import annotations

import pytest
from process_support import OF_ASYNCIO, user_lines

from pytest_scf_async import assert_finished

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]


def lines_of(function, payload=None):
    return user_lines(function.invoke_async(payload).wait())


def test_what_a_handler_logs_is_in_the_log_without_any_set_up(deploy):
    function = deploy("""
        import logging
        logging.debug("at import")
        logger = logging.getLogger("app.rows")
        def main_handler(event, context):
            logging.getLogger().info("row %d", 1)
            logger.debug("row 2")
            logger.warning("row 3")
    """)

    assert lines_of(function) == ["at import", "row 1", "row 2", "row 3"]
    assert lines_of(function) == ["row 1", "row 2", "row 3"]


def test_an_exception_is_logged_with_its_traceback(deploy):
    found = lines_of(
        deploy("""
        import logging
        def main_handler(event, context):
            try:
                {}["key"]
            except KeyError:
                logging.exception("no key")
    """)
    )

    assert found[:2] == ["no key", "Traceback (most recent call last):"]
    assert found[-1] == "KeyError: 'key'"


def test_libraries_write_their_debug_records_too(deploy):
    event = deploy("""
        import asyncio
        def main_handler(event, context):
            asyncio.run(asyncio.sleep(1))
    """).invoke_async()

    assert OF_ASYNCIO in str(event.wait().log)


def test_what_libraries_log_at_debug_is_left_out_of_a_failure_and_user_code_is_not(deploy):
    event = deploy("""
        import asyncio, logging
        async def run():
            logging.getLogger("asyncio").debug("from user code\\nin two lines")
            logging.getLogger("asyncio").info("Using selector: none")
        def main_handler(event, context):
            asyncio.run(run())
            asyncio.run(run())
    """).invoke_async()

    with pytest.raises(AssertionError) as failure:
        assert_finished(event.wait(), result=1)
    text = str(failure.value)
    assert "+0 s  …         Init Report and 2 DEBUG lines of libraries left out\n" in text
    assert [text.count(line) for line in (OF_ASYNCIO, "from user code", "in two lines", "Using selector: none")] == [
        0,
        2,
        2,
        2,
    ]
    assert event.timeline.count(OF_ASYNCIO) == str(event.log).count(OF_ASYNCIO) == 2


@pytest.mark.parametrize("options", [{}, {"children": "simulated"}], ids=["an instance", "a traced handler"])
@pytest.mark.parametrize(
    "handler",
    [
        "logging.basicConfig(force=True, format='%(levelname)s:%(name)s:%(message)s')",
        "logging.basicConfig(force=True, stream=sys.stdout, format='%(message)s, in\\ntwo lines')",
        "logging.getLogger().handlers[:] = [Prints()]",
    ],
)
def test_what_libraries_log_at_debug_is_left_out_whichever_handler_writes_it(deploy, handler, options):
    event = deploy(
        f"""
        import asyncio, logging, sys
        class Prints(logging.Handler):
            def emit(self, record):
                print(self.format(record))
        def main_handler(event, context):
            {handler}
            asyncio.run(asyncio.sleep(0))
            logging.getLogger("asyncio").debug("from user code")
            print("Using selector: printed")
            asyncio.run(asyncio.sleep(0))
    """,
        **options,
    ).invoke_async()

    with pytest.raises(AssertionError) as failure:
        assert_finished(event.wait(), result=1)
    text = str(failure.value)
    lines = 4 if "two lines" in handler else 2
    assert f"Init Report and {lines} DEBUG lines of libraries left out\n" in text
    assert [text.count(line) for line in ("from user code", "Using selector")] == [1, 1]
    assert str(event.log).count("Using selector") == 3


def test_what_another_thread_prints_while_a_library_logs_at_debug_is_shown(deploy):
    event = deploy("""
        import asyncio, logging, threading, time
        class Slow(logging.Formatter):
            def format(self, record):
                time.sleep(2)
                return super().format(record)
        def main_handler(event, context):
            logging.getLogger().handlers[0].setFormatter(Slow())
            thread = threading.Thread(target=lambda: time.sleep(1) or print("meanwhile"))
            thread.start()
            asyncio.run(asyncio.sleep(0))
            thread.join()
    """).invoke_async()

    with pytest.raises(AssertionError) as failure:
        assert_finished(event.wait(), result=1)
    text = str(failure.value)
    assert "Init Report and 1 DEBUG line of libraries left out\n" in text
    assert "meanwhile" in text


def test_basic_config_does_nothing_unless_it_is_forced(deploy):
    found = lines_of(
        deploy("""
        import logging
        def main_handler(event, context):
            logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(message)s")
            logging.info("one")
            logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", force=True)
            logging.debug("two")
            logging.info("three")
            return len(logging.getLogger().handlers)
    """)
    )

    assert found == ["one", "INFO three"]


def test_the_level_can_be_set_and_lasts_for_the_warm_instance(deploy):
    function = deploy("""
        import logging
        def main_handler(event, context):
            logging.info("from %s", event["who"])
            logging.getLogger().setLevel(logging.WARNING)
    """)

    assert [lines_of(function, {"who": who}) for who in ("first", "second")] == [["from first"], []]


def test_it_goes_to_stdout_as_it_was_before_user_code(deploy):
    found = lines_of(
        deploy("""
        import contextlib, io, logging, sys
        def main_handler(event, context):
            (handler,) = logging.getLogger().handlers
            with contextlib.redirect_stdout(io.StringIO()) as caught:
                logging.info("logged")
                print("printed")
            print([type(handler) is logging.StreamHandler, handler.stream is sys.stdout, caught.getvalue()])
    """)
    )

    assert found == ["logged", str([True, True, "printed\n"])]


@pytest.mark.repeat
def test_a_gate_stands_behind_a_logged_line_and_a_signal_may_log_there(deploy):
    event = deploy("""
        import logging, signal, threading, time
        def stop(signum, frame):
            logging.info("stopping")
        def work(number):
            for row in range(3):
                logging.info("row %d of %d", row, number)
                time.sleep(1)
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, stop)
            threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            logging.info("joined")
    """).invoke_async()

    event.wait_for_log("row 1 of 1")
    assert event.doing == "gated"
    assert user_lines(event)[-1] == "row 1 of 1"
    event.terminate(grace_shutdown=True)
    event.wait()

    assert event.status == "FINISHED"
    assert sorted(user_lines(event)) == sorted(
        [*(f"row {row} of {number}" for row in range(3) for number in range(2)), "joined", "stopping"]
    )


def test_before_init_finds_it_set_up_too(deploy, tmp_path):
    (tmp_path / "fakes.py").write_text("import logging\ndef install(): logging.info('from a fake')\n")
    function = deploy(
        "def main_handler(event, context): return 1", before_init=f"{tmp_path}/fakes.py:install", name="export"
    )

    assert lines_of(function) == ["from a fake"]


def test_the_program_of_an_image_has_pythons_own_defaults(deploy_image):
    event = (
        deploy_image("""
        import logging
        from http.server import BaseHTTPRequestHandler, HTTPServer
        root = logging.getLogger()
        print(logging.getLevelName(root.level), root.handlers, flush=True)
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                logging.info("not written")
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"1")
            def log_message(self, *_):
                pass
        HTTPServer(("0.0.0.0", 9000), Handler).serve_forever()
    """)
        .invoke_async()
        .wait()
    )

    assert user_lines(event) == ["WARNING []"]
