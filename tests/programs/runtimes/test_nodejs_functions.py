"""Node.js functions: what a handler is given, how its events end, what it writes, and when it is terminated."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest
from internals import event_of
from process_support import assert_body, assert_reclaimed_for_good, short_log, user_lines
from runtimes_table import file_in

from pytest_scf_async import ScfUsageError, assert_signal_received, assert_timed_out
from pytest_scf_async.report.cause import likely_cause

# once: a program that is no Python: the same on all Pythons
pytestmark = [pytest.mark.once, pytest.mark.nodejs]


@pytest.fixture
def node(runtime, tmp_path):
    """Deploy the text of a module in Node.js."""
    written = 0

    def deploy(source, *, file="index.js", **options):
        nonlocal written
        written += 1
        directory = tmp_path / f"export{written}"
        directory.mkdir()
        file_in(directory, file, textwrap.dedent(source))
        return runtime.deploy(directory, runtime="Nodejs18.15", **options)

    return deploy


def test_what_a_handler_is_given_and_what_it_writes(node, runtime):
    function = node(
        """
        console.log('loading', { a: 1 });
        exports.handle = async (event, context) => {
          console.error('%s rows', event.rows, context.getRemainingTimeInMillis());
          await new Promise((resolve) => setTimeout(resolve, 1500));
          process.stdout.write('raw\\n');
          const left = context.getRemainingTimeInMillis();
          const { SCF_FUNCTIONNAME, OUT, TENCENTCLOUD_SECRETID } = process.env;
          const seen = [SCF_FUNCTIONNAME, OUT, TENCENTCLOUD_SECRETID, __dirname, process.cwd()];
          return { event, context, left, seen };
        };
        """,
        handler="index.handle",
        name="export",
        namespace="prod",
        timeout=60,
        environment={"OUT": "ä"},
    )
    event = function.invoke_async({"rows": "ä"}).wait()
    settings = runtime.settings
    assert event.result["event"] == {"rows": "ä"}
    assert event.result["context"] == {
        "memory_limit_in_mb": 128,
        "time_limit_in_ms": 60_000,
        "request_id": event.request_id,
        "environment": json.dumps({"SCF_NAMESPACE": "prod", "OUT": "ä"}, separators=(",", ":")),
        "environ": "SCF_NAMESPACE=prod;OUT=ä",
        "function_version": "$LATEST",
        "function_name": "export",
        "namespace": "prod",
        "tencentcloud_region": settings.region,
        "tencentcloud_appid": settings.appid,
        "tencentcloud_uin": settings.uin,
        "callbackWaitsForEmptyEventLoop": True,
    }
    assert event.result["left"] == 58_500
    name, out, secret, *directories = event.result["seen"]
    assert (name, out, secret) == ("export", "ä", "scf-async-secret-id-until-20260101T060000Z")
    assert set(directories) == {event_of(event).function.code.directory}
    begin = "2026-01-01T00:00:00.000Z"
    assert user_lines(event) == [
        f"{begin}\t\tloading {{ a: 1 }}",
        f"{begin}\t{event.request_id}\tä rows 60000",
        "raw",
    ]

    runtime.clock.advance(200)
    later = function.invoke_async({}).wait()
    assert (later.instance.cold, later.result["seen"][2]) == (False, "scf-async-secret-id-until-20260101T060321Z")


FINISHED = {
    "async () => ({ rows: 3 })": ({"rows": 3}, 0),
    "async () => {}": (None, 0),
    "async () => new Promise(() => {})": (None, 0),
    "(event, context, done) => { done(null, 'a'); setTimeout(() => done(null, 'b'), 5000); }": ("a", 5),
    "() => { setTimeout(() => {}, 3000); return 'lost'; }": (None, 3),
    "async () => { setTimeout(() => {}, 5000); return 1; }": (1, 0),
    "(event, context) => { setTimeout(() => context.succeed(2), 1000); setTimeout(() => {}, 9000); }": (2, 1),
    "(event, context, done) => { setInterval(() => {}, 1000); setTimeout(() => done(null, 3), 2500); "
    "context.callbackWaitsForEmptyEventLoop = false; }": (3, 2.5),
}
"""By handler: the result, and the simulated seconds until it is there. What the last ones leave goes on in the next."""
FAILED = {
    "async () => { throw new RangeError('no such row'); }": ("no such row", 0),
    "() => { throw new Error('at once'); }": ("at once", 0),
    "(event, context, done) => done('a text')": ("a text(callback err is not instance of Error)", 0),
    "(event, context) => setTimeout(() => context.fail(new Error('failed')), 1000)": ("failed", 1),
    "async () => { setTimeout(() => { throw new TypeError('in a timer'); }, 2000); await new Promise(() => {}); }": (
        "in a timer",
        2,
    ),
    "async () => { const it = {}; it.self = it; return it; }": ("Converting circular structure to JSON", 0),
}


def test_how_an_event_ends(node):
    handlers = [*FINISHED, *FAILED]
    function = node(f"exports.main_handler = (event, ...rest) => [{','.join(handlers)}][event](event, ...rest);")
    for number, body in enumerate(handlers):
        event = function.invoke_async(number).wait()
        found = event.result if event.status == "FINISHED" else event.error["errorMessage"].partition("\n")[0]
        assert (found, event.duration.total_seconds()) == {**FINISHED, **FAILED}[body], body
        assert event.status_code == (200 if body in FINISHED else 430)


def test_an_error_has_its_stack_without_ours(node):
    event = (
        node("""
        const fs = require('fs');
        exports.main_handler = async () => read('/no/such');
        function read(path) { return fs.readFileSync(path); }
    """)
        .invoke_async()
        .wait()
    )
    stack = event.error["stackTrace"]
    message = "ENOENT: no such file or directory, open '/no/such'"
    assert_body(event, statusCode=430, errorCode=1, errorMessage=message, stackTrace=stack)
    assert stack.startswith(f"Error: {message}\n")
    assert re.findall(r"at (?:async )?(\w+(?:\.\w+)*)", stack)[-2:] == ["read", "exports.main_handler"]
    assert "nodejs.js" not in stack
    assert likely_cause(event_of(event)) == f"the function raised Error: {message}"
    assert_reclaimed_for_good(event, "raised")


@pytest.mark.parametrize(
    ("source", "code", "text"),
    [
        ("require('no-such-module')", 443, "Cannot find module 'no-such-module'"),
        ("exports.other = () => {}", 443, "exports no function main_handler"),
        ("this is no JavaScript", 443, "SyntaxError"),
        ("process.exit(3)", 439, ""),
    ],
)
def test_a_module_that_cannot_be_loaded(node, source, code, text):
    event = node(source).invoke_async().wait()
    assert (event.status, event.status_code) == ("FAILED", code)
    assert text in event.error["errorMessage"]
    assert event.instance.reclaimed


def test_a_file_that_is_not_there(node):
    event = node("", file="main.js").invoke_async().wait()
    assert (event.status_code, event.error["errorMessage"]) == (437, "HandlerNotFound")


def test_a_module_of_es_and_a_published_version_with_its_own_copy(node):
    source = "export const main_handler = async () => '{}';"
    function = node(source.format("es"), file="index.mjs")
    number = function.publish_version()
    file_in(Path(event_of(function.invoke_async()).function.code.directory), "index.mjs", source.format("changed"))
    assert function.invoke_async(qualifier=number).wait().result == "es"
    assert [event.wait().result for event in function.events] == ["changed", "es"]


def test_an_update_of_the_code_with_events_in_flight(node, runtime, tmp_path):
    source = """
        const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        exports.{name} = async (seconds) => {{ await sleep(seconds * 1000); return '{code}'; }};
    """
    function = node(source.format(name="main_handler", code="old"))
    sleeps = function.invoke_async(60).settle()
    pending = function.invoke_async(30)
    other = tmp_path / "other"
    other.mkdir()
    file_in(other, "index.js", textwrap.dedent(source.format(name="second", code="new")))
    function.update(other, handler="index.second")
    new = function.invoke_async(10)
    runtime.wait_all()

    assert [event.result for event in (sleeps, pending, new)] == ["old", "old", "new"]
    assert [event.instance.reclaimed_because for event in (sleeps, pending, new)] == ["function updated"] * 2 + [None]


def test_sigterm_in_the_very_second_and_the_timeout(node, runtime):
    function = node(
        """
        exports.main_handler = async ({ listens }) => {
          let stopped = false;
          const stop = () => { console.log('stopping'); stopped = true; };
          if (listens) process.on('SIGTERM', stop);
          let seconds = 0;
          while (!stopped) {
            await new Promise((resolve) => setTimeout(resolve, 1000));
            seconds += 1;
          }
          process.off('SIGTERM', stop);
          return seconds;
        };
        """,
        timeout=60,
    )
    event = function.invoke_async({"listens": True})
    runtime.clock.advance(50.5)
    event.terminate(grace_shutdown=True)
    assert user_lines(event)[-1].startswith("2026-01-01T00:00:50.500Z\t")
    event.wait()
    assert (event.result, event.duration.total_seconds()) == (51, 51)
    assert_signal_received(event)

    late = function.invoke_async({}).wait()
    assert_timed_out(late)
    cause = str(likely_cause(event_of(late)))
    assert re.fullmatch(
        r"the program ran until the 60 s timeout \(.*\); its last wait was the system call `epoll_p?wait`", cause
    )

    not_listening = function.invoke_async({})
    runtime.clock.advance(50)
    with pytest.raises(ScfUsageError, match="wait_until_listening"):
        not_listening.wait_until_listening()
    not_listening.terminate(grace_shutdown=True)
    assert (not_listening.status_code, not_listening.duration.total_seconds()) == (439, 50)


def test_what_it_writes_stands_in_its_log_and_its_instance_is_warm(node):
    function = node("exports.main_handler = async (event) => { console.log('row', event); return event; };")
    first = function.invoke_async(1).wait()
    second = function.invoke_async(2).wait()
    assert [line.rpartition("\t")[2] for line in short_log(second)] == [
        "START",
        "row 2",
        "RESPONSE 2",
        "END",
        "REPORT 0ms",
    ]
    assert (second.instance.cold, second.instance.pid) == (False, first.instance.pid)
