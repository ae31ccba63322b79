"""Runtimes that a launcher adds: how it is called, what it may return, and functions of such a runtime."""

from __future__ import annotations

import os
import re
import sys
import zipfile

import pytest
from free_ports import free_port
from internals import event_of
from process_support import RECEIVED, START, is_gone, short_log, user_lines

from pytest_scf_async import CodePackage, Launch, ScfRuntime, ScfSettings, ScfUsageError
from pytest_scf_async.plugin.plugin import _configured as configured

# once: rules of the platform: the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

NODE, PHP = "Nodejs18.15", "Php8.0"
SHIM = """
import json, os, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

TEXT = open(sys.argv[1]).read()
print("started with", TEXT, flush=True)

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        do = event.get("do")
        if do == "exit":
            os._exit(0)
        if do == "return at SIGTERM":
            stopping = []
            signal.signal(signal.SIGTERM, lambda signum, frame: stopping.append(signum))
            print("working", flush=True)
            while not stopping:
                time.sleep(0.005)
        if do == "sigwait":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            print("working", flush=True)
            signal.sigwait([signal.SIGTERM])
        if do == "block":
            print("working", flush=True)
            time.sleep(3600)
        status = 500 if do == "fail" else 200
        answer = {"event": event, "text": TEXT, "pid": os.getpid(), "environment": os.environ.get("SHIM")}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

HTTPServer(("0.0.0.0", int(sys.argv[2])), Handler).serve_forever()
"""


@pytest.fixture
def shim(tmp_path):
    """A program that serves the functions of a runtime which is not Python's; it is given the file to serve."""
    path = tmp_path / "shim" / "shim.py"
    path.parent.mkdir()
    path.write_text(SHIM)
    return path


@pytest.fixture
def code(tmp_path):
    directory = tmp_path / "export"
    directory.mkdir()
    (directory / "index.js").write_text("exports.main_handler")
    return directory


@pytest.fixture
def runtime_with(request, tmp_path_factory):
    """A runtime with a launcher, without the plugin's part in it."""
    made = []

    def make(launcher, **settings):
        runtime = ScfRuntime(
            configured(request.config).replace("ScfSettings(...)", **settings),
            start=START,
            base_temp=tmp_path_factory.getbasetemp(),
            launcher=launcher,
        )
        made.append(runtime)
        return runtime

    yield make
    for runtime in made:
        runtime.close()


@pytest.fixture
def port():
    """For programs that share the machine's network where there are no namespaces."""
    return free_port()


@pytest.fixture
def launcher(shim, port):
    """It serves the functions of every runtime."""

    def launcher(package: CodePackage) -> Launch:
        file = os.path.join(package.directory, package.handler.partition(".")[0] + ".js")
        command = [sys.executable, "-I", str(shim), file, str(port)]
        return Launch(command, os.path.dirname(shim), environment={"SHIM": package.runtime}, port=port)

    return launcher


@pytest.fixture
def function(runtime_with, launcher, code):
    return runtime_with(launcher).deploy(code, runtime=NODE)


def refused(platform, code, **options) -> str:
    with pytest.raises(ScfUsageError) as caught:
        platform.deploy(code, **{"runtime": NODE, **options})
    return str(caught.value)


# -- what a launcher is asked, and gives -----------------------------------------------------------------------------


def test_it_is_asked_about_code_of_other_runtimes_alone(runtime_with, code):
    asked = []
    runtime = runtime_with(asked.append)
    (code / "index.py").write_text("def main_handler(event, context): return 1")
    assert runtime.deploy(code, handler="index.main_handler", runtime="Python3.10").run() == 1
    assert asked == []
    refused(runtime, code, runtime=PHP)
    refused(runtime, code, handler="app.handle", runtime="CustomRuntime")
    assert asked == [
        CodePackage(PHP, "index.main_handler", str(code)),
        CodePackage("CustomRuntime", "app.handle", str(code)),
    ]


def test_a_zip_has_been_unpacked(runtime_with, code, tmp_path):
    asked = []
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as packed:
        packed.write(code / "index.js", "index.js")
    refused(runtime_with(asked.append), tmp_path / "export.zip", runtime=PHP)
    assert os.path.isabs(asked[0].directory)


@pytest.mark.parametrize("launcher", [None, lambda _: None], ids=["none", "gives none"])
def test_a_runtime_that_no_launcher_has(runtime_with, code, launcher):
    assert refused(runtime_with(launcher), code, runtime=PHP) == (
        "runtime='Php8.0' (deploy(...)) is not valid: its code cannot be run here; these can: "
        f"{', '.join(known())}; a plugin adds others by the hook pytest_scf_async_launcher"
    )


def test_before_init_has_no_python_process_to_be_called_in(runtime_with, launcher, code, tmp_path):
    (tmp_path / "fakes.py").write_text("def install(): pass\n")
    text = refused(runtime_with(launcher), code, before_init=f"{tmp_path}/fakes.py:install")
    assert text.startswith(
        f"before_init='{tmp_path}/fakes.py:install' (deploy(...)) is called in the Python process of "
    )
    assert f"/shim.py {code}/index.js " in text
    assert " runs in a process of its own: have environment= point it to a fake server of the test" in text


def known() -> list[str]:
    from pytest_scf_async.model.configuration import CUSTOM_RUNTIME, GO_RUNTIME, NODE_RUNTIMES, PYTHON_RUNTIMES

    return [*PYTHON_RUNTIMES, GO_RUNTIME, CUSTOM_RUNTIME, *NODE_RUNTIMES]


@pytest.mark.parametrize("given", ["node", ["node", "index.js"], {"command": ["node"]}, 0])
def test_what_is_no_launch(runtime_with, code, given):
    assert refused(runtime_with(lambda _: given), code) == (
        f"pytest_scf_async_launcher returned {given!r} for runtime 'Nodejs18.15'; it must return a Launch or None"
    )


@pytest.mark.parametrize("name", ["Nodejs18", "php", 7])
def test_a_runtime_that_the_platform_does_not_have(runtime_with, code, name):
    text = refused(runtime_with(lambda _: pytest.fail("asked")), code, runtime=name)
    assert text.startswith(f"runtime={name!r} (deploy(...)) is not valid: the platform has Python2.7, ")


def test_an_image_has_a_call_of_its_own(runtime_with, code):
    text = refused(runtime_with(lambda _: pytest.fail("asked")), code, runtime="CustomImage")
    assert text.endswith("; an image is deployed with deploy_image(command=[...])")


def test_code_that_is_no_directory(runtime_with, code):
    text = refused(runtime_with(lambda _: None), code / "index.js")
    assert "neither a directory nor a zip" in text
    assert "as the runtime is 'Nodejs18.15'" in text


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (
            {"command": "node index.js"},
            "command='node index.js' is not valid: it must be a list of words, the program first",
        ),
        ({"command": []}, "command=[] is not valid: it must be a list of words, the program first"),
        ({"command": [sys.executable, 1]}, "is not valid: it must be a list of words, the program first"),
        (
            {"command": ["node"]},
            "command[0]='node' is not valid: it must be the absolute path of a program, as shutil.which(...) gives it",
        ),
        ({"command": ["/no/such/node"]}, "command[0]='/no/such/node' is not valid: it must be the absolute path of"),
        ({"directory": "export"}, "directory='export' is not valid: it must be the absolute path of a directory"),
        ({"directory": "/no/such"}, "directory='/no/such' is not valid: it must be the absolute path of a directory"),
        ({"ports": [80, 9000]}, "ports=[80, 9000] is not valid: 9000 is the program's own port"),
        ({"script": "serve.py"}, "script='serve.py' is not valid: it must be the absolute path of a Python file"),
        ({"script": "/no/such.py"}, "script='/no/such.py' is not valid: it must be the absolute path of a Python file"),
        (
            {"script": __file__, "module": "http.server"},
            f"script={__file__!r} and module='http.server': give only one of them",
        ),
        ({"port": 0}, "port=0 is not valid: a port is a whole number from 1 to 65535"),
        ({"port": True}, "port=True is not valid: a port is"),
        ({"ports": [8080, 70_000]}, "ports=70000 is not valid: a port is a whole number from 1 to 65535"),
        ({"speaks": "http"}, "speaks='http' is not valid; valid are 'event-invoke', 'gob', 'runtime-api'"),
        ({"environment": {"A": 1}}, "environment is not valid: its names and values must be str"),
    ],
)
def test_a_launch_that_cannot_be(wrong, why):
    with pytest.raises(ScfUsageError, match=re.escape(why)):
        Launch(**{"command": [sys.executable], "directory": "/", **wrong})


# -- a function of such a runtime ------------------------------------------------------------------------------------


def test_a_handler_that_returns(function):
    event = function.invoke_async({"rows": 3}).wait()
    assert (event.status, event.status_code) == ("FINISHED", 200)
    assert event.result["event"] == {"rows": 3}
    assert event.result["text"] == "exports.main_handler"
    assert event.result["environment"] == NODE
    assert user_lines(event) == ["started with exports.main_handler"]
    warm = function.invoke_async({}).wait()
    assert (warm.result["pid"], warm.instance.cold) == (event.result["pid"], False)


def test_an_error_of_the_handler(function):
    event = function.invoke_async({"do": "fail"}).wait()
    assert (event.status, event.status_code) == ("FAILED", 430)
    assert event.instance.reclaimed


def test_the_end_of_the_process(function):
    event = function.invoke_async({"do": "exit"}).wait()
    assert (event.status, event.status_code) == ("FAILED", 439)


def test_terminations(function):
    graceful = function.invoke_async({"do": "return at SIGTERM"})
    graceful.wait_for_log("working")
    graceful.terminate(grace_shutdown=True)
    graceful.wait()
    assert graceful.status == "FINISHED"
    assert RECEIVED in short_log(graceful)
    forced = function.invoke_async({"do": "block"})
    forced.wait_for_log("working")
    pid = event_of(forced).instance.user_process.pid
    forced.terminate()
    assert (forced.status, forced.status_code) == ("ABORTED", 499)
    assert is_gone(pid)


def test_a_published_version_runs_its_copy(runtime_with, launcher, code):
    runtime = runtime_with(launcher)
    function = runtime.deploy(code, runtime=NODE)
    number = function.publish_version()
    (code / "index.js").write_text("changed")
    version = function.invoke_async({}, qualifier=number).wait()
    runtime.clock.advance(301)  # it is reclaimed: without namespaces there is one port
    latest = function.invoke_async({}).wait()
    assert (version.result["text"], latest.result["text"]) == ("exports.main_handler", "changed")


def test_an_update_of_the_code_asks_the_launcher_again(function, tmp_path):
    old = function.invoke_async({"do": "echo"})
    other = tmp_path / "other"
    other.mkdir()
    (other / "shop.js").write_text("another text")
    function.update(other, handler="shop.export")

    assert [old.wait().result["text"], function.run({"do": "echo"})["text"]] == ["exports.main_handler", "another text"]


def test_a_python_program_of_a_launcher_is_on_the_simulated_clock(runtime_with, tmp_path, code):
    (code / "serve.py").write_text(SHIM.replace("time.sleep(3600)", "time.sleep(3600); print('woke', flush=True)"))

    def launcher(package: CodePackage) -> Launch:
        script = os.path.join(package.directory, "serve.py")
        argv = [script, os.path.join(package.directory, "index.js"), "9000"]
        return Launch(argv, package.directory, script=script)

    event = runtime_with(launcher).deploy(code, runtime="CustomRuntime").invoke_async({"do": "block"}).wait()
    assert (event.status, event.duration.total_seconds()) == ("FINISHED", 3600)
    assert user_lines(event)[-1] == "woke"


@pytest.mark.parametrize("how", ["script", "module"])
def test_a_python_program_of_a_launcher_that_forks_is_refused_with_what_its_launch_has_to_be(runtime_with, code, how):
    (code / "serve.py").write_text("import os\nos.fork()\n")

    def launcher(package: CodePackage) -> Launch:
        serve = {"script": os.path.join(package.directory, "serve.py"), "module": "serve"}
        return Launch(["serve.py"], package.directory, **{how: serve[how]})

    event = runtime_with(launcher).deploy(code, runtime="CustomRuntime").invoke_async({})
    with pytest.raises(ScfUsageError) as raised:
        event.wait()
    asked = f"{how}= of its Launch"
    assert str(raised.value).endswith(
        f": the program 'serve.py' forks at serve.py:2, and {asked} is for programs of one process: leave out {asked}, "
        "begin its command= with the interpreter, and the program is supervised, with all that it starts, on simulated "
        "time"
    )


def test_the_environment_of_a_launch_is_that_of_a_python_program_too(runtime_with, code):
    (code / "serve.py").write_text(SHIM)

    def launcher(package: CodePackage) -> Launch:
        script = os.path.join(package.directory, "serve.py")
        argv = [script, os.path.join(package.directory, "index.js"), "9000"]
        return Launch(argv, package.directory, environment={"SHIM": "of the launch"}, script=script)

    function = runtime_with(launcher).deploy(code, runtime="CustomRuntime", environment={"SHIM": "of the function"})
    assert function.run({})["environment"] == "of the launch"


def test_a_directory_that_is_gone_when_it_is_entered(runtime_with, code, tmp_path, port):
    directory = tmp_path / "gone"
    directory.mkdir()
    launch = Launch([sys.executable, "-c", ""], str(directory), port=port)
    directory.rmdir()
    event = runtime_with(lambda _: launch, sandbox="none").deploy(code, runtime=NODE).invoke_async({}).wait()
    assert event.status_code == 445
    assert f"its directory '{directory}' cannot be entered: No such file or directory" in str(event.error)


def test_settings_may_name_the_runtime(runtime_with, launcher, code):
    function = runtime_with(launcher, runtime=NODE).deploy(code)
    assert function.run({})["text"] == "exports.main_handler"
    assert ScfSettings(runtime=NODE).runtime == NODE


@pytest.mark.parametrize("repeat", range(3))
def test_a_program_that_waits_for_the_signal_itself(function, repeat):
    event = function.invoke_async({"do": "sigwait"})
    event.wait_for_log("working")
    event.terminate(grace_shutdown=True)  # it may stand before sigwait, or in it, where nothing seems to listen
    event.wait()
    assert event.status == "FINISHED"


def test_a_program_that_nothing_listens_in_has_ended_when_the_call_returns(function):
    event = function.invoke_async({"do": "block"})
    event.wait_for_log("working")
    event.terminate(grace_shutdown=True)
    assert (event.status, event.status_code) == ("FAILED", 439)
