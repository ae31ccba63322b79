"""Images whose program serves its port from where the simulated clock is not seen: that is said at once."""

from __future__ import annotations

import re
import textwrap

import pytest
from free_ports import free_port
from image_support import program
from process_support import eventually, is_gone

from pytest_scf_async.errors import ScfUsageError

ANSWERS = program("def handle(event, request): return event")
APPS = {
    "web": """
        from flask import Flask, request

        app = Flask(__name__)

        @app.post("/event-invoke")
        def invoke():
            return request.get_json(force=True)

        if __name__ == "__main__":
            app.run("0.0.0.0", 9000, debug=True)
        """,
    "asgi": """
        import json

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                return
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})
        """,
    "execs": """
        import os, sys

        os.execvp(sys.executable, [sys.executable, "app.py"])
        """,
    "app": ANSWERS,
    "runs": """
        import subprocess, sys

        sys.exit(subprocess.call([sys.executable, "app.py"]))
        """,
    "runs_and_waits": """
        import socket, subprocess, sys

        subprocess.Popen([sys.executable, "app.py"])
        waiting = socket.socket(type=socket.SOCK_DGRAM)
        waiting.bind(("127.0.0.1", 0))
        waiting.recvfrom(1)
        """,
    "execs_nothing": """
        import os

        try:
            os.execvp("no-such-program", ["no-such-program"])
        except FileNotFoundError:
            import app
        """,
    "execs_later": program('def handle(event, request): os.execvp("sleep", ["sleep", "1000"])'),
    "uvloop_before": """
        import asyncio, uvloop

        async def wait():
            await asyncio.sleep(0.2)

        uvloop.run(wait())
        import app
        """,
    "runs_another": """
        import subprocess, sys

        other = subprocess.Popen([sys.executable, "other.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        other.stdout.readline()
        other.communicate(timeout=60)
        import app
        """,
    "other": """
        import socket, sys, time

        listening = socket.create_server(("0.0.0.0", 0))
        print("listens", flush=True)
        time.sleep(0.2)
        """,
}
INSTEAD = r'or let the program be free-running, in real time, as with command=\["python", "-E", \.\.\.\]'
BY_A_CHILD = (
    r"port \d+ is served by the child process 'python.*' \(pid \d+\) of the program '{}', which sees real time: serve "
    r"from one process, without a reloader \(Flask: debug=False or use_reloader=False; uvicorn: no --reload and no "
    rf"--workers; hypercorn: -w 0\), or from forks, as gunicorn does, {INSTEAD}"
)


@pytest.fixture
def deploy(make_runtime, tmp_path):
    """Deploy a command that finds ``APPS``, where nothing else would end a call within the time of a test."""
    port = free_port()  # without namespaces a child has the machine's
    for name, source in APPS.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source).replace("9000", str(port)))
    runtime = make_runtime(real_timeout=600, real_limit=600)

    def deploy(*command: str):
        return runtime.deploy_image([word.replace("9000", str(port)) for word in command], cwd=tmp_path, port=port)

    return deploy


def refused(event, why: str) -> None:
    with pytest.raises(ScfUsageError, match=f"^event {event.request_id} of [a-z_]+: {why}$"):
        event.wait()
    assert event.status == "FAILED"  # it has ended, with all that it had started
    assert eventually(lambda: is_gone(event.instance.pid))


@pytest.mark.parametrize(
    "command",
    [
        "python web.py",
        "flask --app=web run --debug --host=0.0.0.0 --port=9000",
        "uvicorn --host=0.0.0.0 --port=9000 --workers=2 asgi:app",
        "uvicorn --host=0.0.0.0 --port=9000 --reload asgi:app",
        "python runs.py",
        "python runs_and_waits.py",
    ],
)
def test_a_child_serves_the_port(deploy, command):
    refused(
        deploy(*command.split()).invoke_async({"a": 1}),
        BY_A_CHILD.replace("{}", re.escape(command.removeprefix("python ")).replace("9000", r"\d+")),
    )


@pytest.mark.parametrize("line", ["python execs.py", "python -m execs"])
def test_the_program_becomes_another_one(deploy, line):
    event = deploy(*line.split()).invoke_async({"a": 1})
    refused(
        event,
        r"the program 'execs(\.py)?' became '.*python.* app\.py' by exec, and another program cannot be put on the "
        rf"simulated clock from inside: name that one in command=, with its environment in environment=, {INSTEAD}",
    )


def test_a_program_that_cannot_become_another_one_goes_on(deploy):
    assert deploy("python", "execs_nothing.py").run({"a": 1}) == {"a": 1}


def test_a_handler_becomes_another_program(deploy):
    event = deploy("python", "execs_later.py").invoke_async({"a": 1})
    refused(event, r"the program 'execs_later\.py' became 'sleep 1000' by exec, .*")


@pytest.mark.parametrize("loop", ["uvloop", "auto"])
def test_a_loop_of_uvloop_serves_the_port(deploy, loop):
    event = deploy("uvicorn", "--host=0.0.0.0", "--port=9000", f"--loop={loop}", "asgi:app").invoke_async({"a": 1})
    refused(
        event,
        r"port \d+ is served by a loop of uvloop, which cannot be put on simulated time: have the program use the loop "
        rf"of asyncio in tests \(uvicorn: --loop asyncio\), {INSTEAD}",
    )


# -- what is not refused ---------------------------------------------------------------------------------------------


def test_a_loop_of_uvloop_that_has_ended_serves_nothing(deploy):
    assert deploy("python", "uvloop_before.py").run({"a": 1}) == {"a": 1}


def test_a_child_that_listens_elsewhere(deploy):
    assert deploy("python", "runs_another.py").run({"a": 1}) == {"a": 1}
