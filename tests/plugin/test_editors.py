"""What an editor offers: the keywords of ``deploy`` and of the marker, asked of basedpyright's language server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from internals import Where, options_of

# once: the types of the package, as one checker reads them
pytestmark = pytest.mark.once

USES = """import pytest_scf_async
from pytest_scf_async import ScfRuntime, scf_function

@scf_function("export.py:main_handler", |)
def test_marked(scf_runtime: ScfRuntime) -> None:
    scf_runtime.deploy("export.py:main_handler", |)
"""
SETTINGS = {"python": {"pythonPath": sys.executable}}
"""What the editor has set: which Python the project runs on."""


class LanguageServer:
    """A client of a language server, by its standard input and output: JSON-RPC, one request at a time."""

    def __init__(self, process: subprocess.Popen[bytes], project: Path) -> None:
        self.project = project
        self._process = process
        self._number = 0
        folders = [{"uri": project.as_uri(), "name": project.name}]
        capabilities = {"workspace": {"configuration": True, "workspaceFolders": True}}
        self.request("initialize", {"processId": None, "capabilities": capabilities, "workspaceFolders": folders})
        self.notify("initialized", {})

    def _write(self, **message: Any) -> None:
        text = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the language server ended"
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return message

    def notify(self, method: str, given: Any) -> None:
        self._write(method=method, params=given)

    def request(self, method: str, given: Any) -> Any:
        self._number += 1
        self._write(id=self._number, method=method, params=given)
        while True:
            message = self._read()
            if "method" not in message and message.get("id") == self._number:
                assert "error" not in message, message["error"]
                return message["result"]
            if "id" in message:  # a request of the server, for settings or for something to show
                asked = message["params"]["items"] if message["method"] == "workspace/configuration" else []
                self._write(id=message["id"], result=[SETTINGS.get(each.get("section"), {}) for each in asked] or None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    project = tmp_path_factory.mktemp("edited")
    program = Path(sys.executable).with_name("basedpyright-langserver")
    with subprocess.Popen([program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=project) as process:
        try:
            yield LanguageServer(process, project)
        finally:
            process.kill()


def offered(server: LanguageServer, line: int) -> list[str]:
    """The keywords that are offered at the mark in that line of `USES`."""
    text = USES.replace("|", "")
    uri = (server.project / "test_edited.py").as_uri()  # it is open in the editor, and on no disk
    document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
    server.notify("textDocument/didOpen", {"textDocument": document})
    position = {"line": line, "character": USES.splitlines()[line].index("|")}
    found = server.request("textDocument/completion", {"textDocument": {"uri": uri}, "position": position})
    server.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    items = found["items"] if isinstance(found, dict) else found
    return [each["label"].removesuffix("=") for each in items if each["label"].endswith("=")]


def test_the_keywords_of_the_marker_are_offered(server: LanguageServer) -> None:
    assert sorted(offered(server, 3)) == sorted(["payload", *(option.name for option in options_of(Where.DEPLOY))])


def test_the_keywords_of_deploy_are_offered(server: LanguageServer) -> None:
    assert sorted(offered(server, 5)) == sorted(option.name for option in options_of(Where.DEPLOY))
