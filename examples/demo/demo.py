"""What this project is, in half a minute: scenes with handlers of the other examples. Run: python demo.py"""
# pyright: reportMissingTypeStubs=false

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pytest_scf_async import AsyncEvent, Run, ScfRuntime, ScfUsageError, UnsupportedPlatformError, __version__

EXAMPLES = Path(__file__).resolve().parents[1]
GO_FUNCTION = "go_shutdown/functions/exits"
BUILD = "--build"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
NO_GO = "Go is not installed (Debian and Ubuntu: apt-get install golang-go)"
BUILD_FIRST = (
    f"Go would first compile its library, which takes minutes: {sys.executable} {Path(__file__)} {BUILD} has it do so"
)
NO_SDK = "the official SDK is not installed (pip install tencentcloud-sdk-python-scf werkzeug trustme)"


class LeftOut(Exception):
    """What a scene needs, and is not installed."""


def say(text: str, indent: str = "   "):
    print(textwrap.fill(text, 110, initial_indent=indent, subsequent_indent=f"{indent}  "), flush=True)


def say_how_it_ended(event: AsyncEvent):
    say(f"{event.status} ({event.status_code}), {event.duration} after it was accepted")


def a_day_of_sleep(runtime: ScfRuntime, directory: Path):
    say("A handler checks once a minute whether a job is done, for a day at most. The job is never done.")
    poller = runtime.deploy("poller/handlers/poller.py:main_handler", environment={"JOB": str(directory / "job")})
    event = poller.invoke_async({})
    say("> event.wait()")
    event.wait()
    say_how_it_ended(event)
    say(f"its result: {event.result}")


def a_sigterm_at_row_500(runtime: ScfRuntime, directory: Path):
    say("A handler exports 10,000 rows and prints each. SIGTERM comes at the print of row 500, in every run.")
    export = runtime.deploy("export/handlers/export.py:main_handler", environment={"OUT": str(directory)})
    event = export.invoke_async({"rows": 10_000})
    say('> event.wait_for_log("row 500 ")')
    event.wait_for_log("row 500 ")
    say("> event.stop(within=30)")
    event.stop(within=30)
    say_how_it_ended(event)
    say(f"its result: {event.result}; its checkpoint: {(directory / 'checkpoint.json').read_text()}")


def a_439_with_its_cause(runtime: ScfRuntime, directory: Path):
    say("A backup works for ten minutes in each part. It does not listen to SIGTERM, and the test fails:")
    backup = runtime.deploy("listening/handlers/not_listening.py:main_handler")
    event = backup.invoke_async({"parts": 12})
    say('> event.wait_for_log("part 3 ")')
    event.wait_for_log("part 3 ")
    say("> event.stop(within=30)")
    try:
        event.stop(within=30)
    except AssertionError as failure:
        before_timeline = str(failure).partition("\n--- ")[0]
        for line in before_timeline.splitlines():
            say(line)


def is_compiled():
    """Whether what the Go function uses of Go's own library is in Go's cache: the rest is built in a second or two."""
    listing = ["go", "list", "-deps", "-f", "{{if and .Standard .Stale}}{{.ImportPath}}{{end}}", "."]
    environment = {name: value for name, value in os.environ.items() if name not in ("GOOS", "GOARCH")}
    environment |= {"GOPROXY": "off", "GOTOOLCHAIN": "local"}  # as the runtime builds it
    listed = subprocess.run(listing, cwd=EXAMPLES / GO_FUNCTION, env=environment, capture_output=True, check=False)
    return listed.returncode == 0 and not listed.stdout.strip()


def a_go_program(runtime: ScfRuntime, directory: Path):
    if shutil.which("go") is None:
        raise LeftOut(NO_GO)
    if BUILD not in sys.argv and not is_compiled():
        raise LeftOut(BUILD_FIRST)
    say("A function in Go exits at SIGTERM, as the platform's sample does. Its sleeps are simulated, unmodified.")
    say("(It is built first: real seconds.)")
    export = runtime.deploy(GO_FUNCTION, runtime="Go1", environment={"OUT": str(directory)})
    event = export.invoke_async({"rows": 1_000_000})
    say("> runtime.clock.advance(10)")
    runtime.clock.advance(10)
    say("> event.stop(exit_ok=True)")
    event.stop(exit_ok=True)
    say_how_it_ended(event)
    say(f"its checkpoint: row {(directory / 'checkpoint').read_text()}")


def the_official_sdk(runtime: ScfRuntime, directory: Path):
    try:
        from tencentcloud.common.credential import Credential
        from tencentcloud.common.exception import TencentCloudSDKException
        from tencentcloud.scf.v20180416 import models
        from tencentcloud.scf.v20180416.scf_client import ScfClient

        from pytest_scf_async import ScfEndpoint

        endpoint = ScfEndpoint(runtime)
    except (ImportError, ScfUsageError):  # the second: the SDK is there, and not what the endpoint is made of
        raise LeftOut(NO_SDK) from None

    def call(action: str, **parameters: object) -> Any:
        request = getattr(models, f"{action}Request")()
        request.from_json_string(json.dumps(parameters))
        shown = "..." if "InvokeRequestId" in parameters else json.dumps(parameters)
        say(f"> client.{action}({shown})")
        return getattr(client, action)(request)

    with endpoint:
        say("The official SDK asks scf.tencentcloudapi.com, which leads to this runtime: no account, no network.")
        runtime.deploy("listening/handlers/fixed.py:main_handler", name="backup")
        client = ScfClient(Credential(endpoint.secret_id, endpoint.secret_key), endpoint.region)
        invoked = call("Invoke", FunctionName="backup", ClientContext='{"parts": 12}')
        event = {"InvokeRequestId": invoked.RequestId}
        runtime.clock.advance(1_000)
        status = call("GetAsyncEventStatus", **event).Result.Status
        say(f"{status} after 1,000 seconds")
        call("TerminateAsyncEvent", FunctionName="backup", GraceShutdown=True, **event)
        runtime.clock.advance(600)
        status = call("GetAsyncEventStatus", **event).Result.Status
        say(f"{status} ten minutes later")
        runtime.clock.advance(timedelta(hours=72))
        try:
            call("GetAsyncEventStatus", **event)
        except TencentCloudSDKException as error:
            say(f"{error.get_code()} after three more days")


def a_sweep_that_finds_a_lost_invoice(runtime: ScfRuntime, directory: Path):
    ran: list[timedelta] = []

    def each_run(run: Run):
        inbox, invoices = run.path / "inbox", run.path / "invoices"
        inbox.mkdir()
        invoices.mkdir()
        for number in (1, 2):
            (inbox / f"order-{number}.json").write_text(json.dumps({"id": number, "price": 100 * number}))
        yield {"INBOX": str(inbox), "INVOICES": str(invoices)}
        ran.extend(event.duration for event in run.events if event.duration is not None)

    say("A handler writes an invoice for each order. It is killed at each point that it comes to, and invoked again.")
    handler = "sweep/handlers/acknowledged_first.py"
    function = runtime.deploy(f"{handler}:main_handler")
    say('> sweep = runtime.sweep(function, each_run=each_run, how="forced")')
    sweep = runtime.sweep(function, each_run=each_run, how="forced")
    say(f"{len(sweep.runs)} runs, each killed at another point; {len(sweep.failures)} have lost something:")
    source = (EXAMPLES / handler).read_text().splitlines()
    for failure in sweep.failures:
        point = failure.earliest.point
        for difference in failure.earliest.differences:
            say(f"{difference.kind.value}: {difference.name}, where it is killed before line {point.line}:")
        for number in (point.line - 1, point.line):
            print(f"     {'>' if number == point.line else ' '} {number}  {source[number - 1].strip()}")
    return sum(ran, timedelta())  # each run has a clock of its own


SCENES = {
    "A day of sleep": a_day_of_sleep,
    "SIGTERM at row 500": a_sigterm_at_row_500,
    "439, with its cause": a_439_with_its_cause,
    "The official SDK": the_official_sdk,
    "A sweep finds a lost invoice": a_sweep_that_finds_a_lost_invoice,
    "A Go program": a_go_program,
}


def play(number: int, title: str):
    """Play a scene; its simulated time, which is nothing where it is left out."""
    print(f"\n{number}. {title}")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name, ScfRuntime(start=START, lookup=[EXAMPLES], base_temp=name) as runtime:
        try:
            simulated = SCENES[title](runtime, Path(name)) or runtime.clock.now - START
        except LeftOut as lacking:
            say(f"left out: {lacking}")
            return timedelta()
    say(f"real {time.perf_counter() - started:.2f} s, simulated {simulated}")
    return simulated


def main():
    print(
        f"pytest-scf-async {__version__}. Each handler here is a file of examples/, and runs in a process of its own."
    )
    started = time.perf_counter()
    try:
        simulated = sum((play(number, title) for number, title in enumerate(SCENES, 1)), timedelta())
    except UnsupportedPlatformError as error:
        sys.exit(str(error))
    print(f"\nAll scenes: real {time.perf_counter() - started:.1f} s, simulated {simulated}")
    print("`make examples` runs the tests of all examples. docs/getting-started.md writes a first test.")


if __name__ == "__main__":
    main()
