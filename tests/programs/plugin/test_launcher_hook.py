"""pytest_scf_async_launcher in a project's conftest.py: it adds a runtime to the fixtures, and refuses others."""

from __future__ import annotations

import pytest
from free_ports import free_port

SERVER = """
    import json, sys
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            event = self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps([sys.argv[1], json.loads(event)]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    HTTPServer(("0.0.0.0", int(sys.argv[2])), Handler).serve_forever()
"""
CONFTEST = """
    import os, sys
    import pytest
    from pytest_scf_async import CodePackage, Launch

    @pytest.hookimpl(optionalhook=True)
    def pytest_scf_async_launcher(function):
        assert isinstance(function, CodePackage)
        if function.runtime == "Nodejs18.15":
            server = os.path.join(os.path.dirname(__file__), "server.py")
            return Launch([sys.executable, "-I", server, function.handler, "PORT"], function.directory, port=PORT)
        if function.runtime == "Php8.0":
            return "php"
"""
TESTS = """
    import pytest
    from pytest_scf_async import ScfUsageError

    @pytest.mark.scf_function("node", runtime="Nodejs18.15", handler="index.handle", payload={"a": 1})
    def test_the_marker(async_event):
        assert async_event.wait().result == ["index.handle", {"a": 1}]

    def test_the_fixture(scf_runtime):
        assert scf_runtime.deploy("node", runtime="Nodejs18.15").run([2]) == ["index.main_handler", [2]]

    def test_others(scf_runtime):
        with pytest.raises(ScfUsageError, match="a plugin adds others by the hook pytest_scf_async_launcher"):
            scf_runtime.deploy("node", runtime="Java8")
        with pytest.raises(ScfUsageError, match="pytest_scf_async_launcher returned 'php' for runtime 'Php8.0'"):
            scf_runtime.deploy("node", runtime="Php8.0")
"""


def test_a_conftest_adds_a_runtime(project: pytest.Pytester) -> None:
    project.makepyfile(server=SERVER)
    project.mkdir("node").joinpath("index.js").write_text("exports.handle = ...")
    project.makeconftest(CONFTEST.replace("PORT", str(free_port())))
    project.makepyfile(TESTS)
    project.runpytest("-rf").assert_outcomes(passed=3)


def test_the_first_plugin_that_has_one_gives_it(project: pytest.Pytester) -> None:
    project.makepyfile(server=SERVER, other="def pytest_scf_async_launcher(function): return None")
    project.syspathinsert()
    project.mkdir("node")
    project.makeconftest(CONFTEST.replace("PORT", str(free_port())))
    project.makepyfile(TESTS)
    project.runpytest("-rf", "-p", "other").assert_outcomes(passed=3)
