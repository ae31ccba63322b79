"""Images whose program becomes another one, or serves from others: supervised, and refused in the instance itself."""

from __future__ import annotations

import re
import textwrap
from datetime import timedelta

import pytest
from free_ports import free_port
from image_support import program
from internals import event_of, lockstep_of, messages
from process_support import eventually, is_gone

from pytest_scf_async.errors import ScfUsageError

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once

ANSWERS = program("""
def handle(event, request):
    time.sleep(event.get("sleep", 0))
    return event
""")
APPS = {
    "web": """
        import time
        from flask import Flask, request

        app = Flask(__name__)

        @app.post("/event-invoke")
        def invoke():
            event = request.get_json(force=True)
            time.sleep(event.get("sleep", 0))
            return event

        if __name__ == "__main__":
            app.run("0.0.0.0", 9000, debug=True)
        """,
    "asgi": """
        import asyncio, json

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                return
            body = (await receive())["body"]
            await asyncio.sleep(json.loads(body).get("sleep", 0))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
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
INSTEAD = "leave out in_process=True, and the program is supervised, with all that it starts, on simulated time"
OF_ONE_PROCESS = f"in_process=True is for programs of one process: {INSTEAD}"
BY_A_CHILD = (
    rf"port \d+ is served by the child process 'python.*' \(pid \d+\) of the program '{{}}', and {OF_ONE_PROCESS}"
)
SERVED_BY_A_CHILD = [
    "python web.py",
    "flask --app=web run --debug --host=0.0.0.0 --port=9000",
    "uvicorn --host=0.0.0.0 --port=9000 --workers=2 asgi:app",
    "uvicorn --host=0.0.0.0 --port=9000 --reload asgi:app",
    "python runs.py",
    "python runs_and_waits.py",
]
BECOMES_ANOTHER = ["python execs.py", "python -m execs"]
FORKS = {
    "in the event": program("def handle(event, request): os.fork()  # forks"),
    "before it listens": "import os\nos.fork()  # forks\n" + ANSWERS,
    "in a thread": program("""
        def work():
            os.fork()  # forks

        def handle(event, request):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        """),
    "a process of multiprocessing": program("""
        import multiprocessing

        def handle(event, request):
            multiprocessing.get_context("fork").Process(target=print).start()  # forks
        """),
    "a pool of processes": program("""
        import concurrent.futures, multiprocessing

        def handle(event, request):
            pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
            return pool.submit(int).result()  # forks
        """),
    "a server of forks": program(
        "import socketserver\nclass Forking(socketserver.ForkingMixIn, HTTPServer): pass", server="Forking"
    ).replace("serve_forever()", "serve_forever()  # forks"),
}
"""Programs of which one line forks."""
OTHER_CHILDREN = {
    "os.spawnv": "return os.spawnv(os.P_WAIT, '/bin/sh', ['sh', '-c', 'exit 3'])",
    "subprocess": "return subprocess.call(['sh', '-c', 'exit 3'], preexec_fn=os.setsid)",
    "os.system": "return os.waitstatus_to_exitcode(os.system('exit 3'))",
    "pty.fork": """
        pid, _ = pty.fork()
        if pid == 0:  # it has the listening socket, too
            time.sleep(0.2)
            os._exit(3)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """,
}
LOOPS = ["uvloop", "auto"]


@pytest.fixture
def deploy(make_runtime, tmp_path):
    """Deploy a command that finds ``APPS``, where nothing else would end a call within the time of a test."""
    port = free_port()  # without namespaces a child has the machine's
    for name, source in APPS.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source).replace("9000", str(port)))
    runtime = make_runtime(real_timeout=600, real_limit=600)

    def deploy(*command: str, **options):
        words = [word.replace("9000", str(port)) for word in command]
        return runtime.deploy_image(words, cwd=tmp_path, port=port, **options)

    return deploy


@pytest.mark.parametrize("line", [*SERVED_BY_A_CHILD, *BECOMES_ANOTHER])
def test_other_processes_of_a_supervised_program_serve_the_port(deploy, line):
    function = deploy(*line.split())
    first, second = (function.invoke_async({"sleep": 20}).wait() for _ in range(2))

    assert [first.result, second.result] == [{"sleep": 20}] * 2
    assert timedelta(seconds=20) <= second.duration < timedelta(seconds=20.1)
    assert not second.instance.cold


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_of_uvloop_is_on_simulated_time(deploy, loop):
    function = deploy("uvicorn", "--host=0.0.0.0", "--port=9000", f"--loop={loop}", "asgi:app")
    event = function.invoke_async({"sleep": 60}).wait()  # uvicorn wakes up ten times a second

    assert event.result == {"sleep": 60}
    assert timedelta(minutes=1) <= event.duration < timedelta(minutes=1, seconds=0.1)


def test_a_handler_that_becomes_another_program_answers_no_more(deploy):
    event = deploy("python", "execs_later.py").invoke_async({"a": 1}).wait()

    assert (event.status_code, event.duration) == (430, timedelta(0))  # its connections are closed by exec
    assert "closed the connection" in event.error["stackTrace"]


# -- what in_process=True refuses ------------------------------------------------------------------------------------


def refused(event, why: str) -> None:
    with pytest.raises(ScfUsageError, match=f"^event {event.request_id} of [a-z_]+: {why}$"):
        event.wait()
    assert event.status == "FAILED"  # it has ended, with all that it had started
    assert eventually(lambda: is_gone(event.instance.pid))


@pytest.mark.parametrize("command", SERVED_BY_A_CHILD)
def test_a_child_serves_the_port(deploy, command):
    refused(
        deploy(*command.split(), in_process=True).invoke_async({"a": 1}),
        BY_A_CHILD.replace("{}", re.escape(command.removeprefix("python ")).replace("9000", r"\d+")),
    )


@pytest.mark.parametrize("line", BECOMES_ANOTHER)
def test_the_program_becomes_another_one(deploy, line):
    event = deploy(*line.split(), in_process=True).invoke_async({"a": 1})
    refused(
        event,
        r"the program 'execs(\.py)?' became '.*python.* app\.py' by exec, and in_process=True is for programs that "
        rf"stay in one process: {INSTEAD}",
    )


def test_a_program_that_cannot_become_another_one_goes_on(deploy):
    assert deploy("python", "execs_nothing.py", in_process=True).run({"a": 1}) == {"a": 1}


def test_a_handler_becomes_another_program(deploy):
    event = deploy("python", "execs_later.py", in_process=True).invoke_async({"a": 1})
    refused(event, r"the program 'execs_later\.py' became 'sleep 1000' by exec, .*")


@pytest.mark.parametrize("forks", FORKS)
def test_the_program_forks(deploy_in_process, forks):
    source = textwrap.dedent(FORKS[forks])
    (line,) = (number for number, text in enumerate(source.splitlines(), 1) if "# forks" in text)
    event = deploy_in_process(source).invoke_async({})
    refused(event, rf"the program 'app\.py' forks at app\.py:{line}, and {OF_ONE_PROCESS}")


@pytest.mark.parametrize("command", ["gunicorn", "python -m gunicorn"])
def test_gunicorn_forks(deploy, command):
    event = deploy(*command.split(), "--bind=0.0.0.0:9000", "app:app", in_process=True).invoke_async()
    refused(event, rf"the program 'gunicorn' forks at arbiter\.py:\d+, and {OF_ONE_PROCESS}")


def test_the_program_forks_once_its_event_has_ended(deploy_in_process, runtime):
    event = deploy_in_process(ANSWERS).invoke_async({"a": 1}).wait()
    instance = event_of(event).instance
    refuses = lockstep_of(runtime).instance_said(instance, messages.FromInstance.FORKS, b'{"at":"app.py:3"}')

    with pytest.raises(ScfUsageError, match=rf"^the program 'app\.py' forks at app\.py:3, and {OF_ONE_PROCESS}$"):
        refuses()
    assert event.status == "FINISHED"
    assert is_gone(instance.pid)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_of_uvloop_serves_the_port(deploy, loop):
    command = ("uvicorn", "--host=0.0.0.0", "--port=9000", f"--loop={loop}", "asgi:app")
    refused(
        deploy(*command, in_process=True).invoke_async({"a": 1}),
        rf"port \d+ is served by a loop of uvloop, which in_process=True cannot put on simulated time: {INSTEAD}",
    )


# -- what is not refused ---------------------------------------------------------------------------------------------


def test_a_loop_of_uvloop_that_has_ended_serves_nothing(deploy):
    assert deploy("python", "uvloop_before.py", in_process=True).run({"a": 1}) == {"a": 1}


def test_a_child_that_listens_elsewhere(deploy):
    assert deploy("python", "runs_another.py", in_process=True).run({"a": 1}) == {"a": 1}


@pytest.mark.parametrize("starts", OTHER_CHILDREN)
def test_a_child_that_is_not_of_os_fork(deploy_in_process, starts):
    work = textwrap.indent(textwrap.dedent(OTHER_CHILDREN[starts]), "    ")
    event = deploy_in_process(program(f"import pty, subprocess\n\ndef handle(event, request):\n{work}")).invoke_async()

    assert event.wait().result == 3
    assert event.duration == timedelta(0)
