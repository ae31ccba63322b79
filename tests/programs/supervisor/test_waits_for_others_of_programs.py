"""A wait of a program for its children, or for a server, has its row where no simulated time passes in it, in each run.

``SCF_RUNS=50`` makes as many as that of each (``make runs``).
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from image_support import program
from process_support import START, user_lines

from pytest_scf_async import AsyncEvent, ScfRuntime, ScfSettings

# once: what the platform does with a program is the same, whatever Python it runs on
RUNS = int(os.environ.get("SCF_RUNS", "2"))
pytestmark = [pytest.mark.once, pytest.mark.timeout(60 + 20 * RUNS)]

BASH = """
echo "$(true)$(echo one) $(date -u +%T)"
true & false & wait
sleep 1
(echo two; sleep 2; echo three) | while read -r line; do echo "read $line"; done
cat <(echo four)
sleep 1000 & kill $!; wait $!
echo "ended with $?"
exec 3<>"/dev/tcp/127.0.0.1/$PORT"
printf 'GET /bash HTTP/1.0\\r\\n\\r\\n' >&3
cat <&3 | tail -n 1; echo
sleep 3
/bin/true
trap '/bin/true; echo "trap at $SECONDS"' TERM
sleep 700 & wait $!
wait $!
exit 0
"""
PYTHON = program("""
import fcntl, subprocess, urllib.request

def handle(event, request):
    def say(text):
        print(text, f"{time.time():.3f}", flush=True)

    subprocess.run(["true"])
    say("true")
    say(subprocess.check_output(["sh", "-c", "echo one | cat; echo two >&2"], stderr=subprocess.STDOUT))
    time.sleep(1)
    say(urllib.request.urlopen(f"http://127.0.0.1:{event}/python").read())
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    time.sleep(2)
    say(child.communicate(b"told"))
    subprocess.run(["sleep", "5"])
    say("five")
    subprocess.run(["sh", "-c", "sleep 1; exit 3"], timeout=60)
    child = subprocess.Popen(["sleep", "1000"])
    time.sleep(1)
    child.kill()
    say(child.wait())
    time.sleep(1)
    with open("lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        time.sleep(1)
        child = subprocess.Popen(["flock", "lock", "-c", "true; sleep 7"])
    child.wait()
    return child.returncode
""")
NODE = """
const { exec, spawn } = require('child_process')
const http = require('http')
const ran = command => new Promise(done => exec(command, (error, out) => done(out.trim())))
const ended = child => new Promise(done => child.on('exit', (code, signal) => done(code ?? signal)))
const asked = (port, path) => new Promise(done => http.get({ port, path, agent: false }, response => {
  let text = ''
  response.on('data', data => { text += data })
  response.on('end', () => done(text))
}))
const slept = ms => new Promise(done => setTimeout(done, ms))
http.createServer((request, response) => {
  let body = ''
  request.on('data', data => { body += data })
  request.on('end', async () => {
    const port = JSON.parse(body)
    console.log(await ran('echo one | cat'), await ended(spawn('true')))
    console.log((await Promise.all([1, 2, 3].map(number => ran(`echo ${number}`)))).join())
    await slept(1000)
    console.log(await asked(port, '/node'))
    console.log((await Promise.all([1, 2, 3].map(number => asked(port, `/${number}`)))).join(), await ran('true'))
    await slept(1000)
    const child = spawn('sleep', ['1000'])
    await slept(1000)
    child.kill()
    console.log(await ended(child))
    await slept(1000)
    console.log(await ended(spawn('sleep', ['5'])))
    response.end('1')
  })
}).listen(9000, '0.0.0.0')
"""
GO = """
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"
)

func asked(path string) string {
	answer, err := http.Get("http://127.0.0.1:" + os.Getenv("PORT") + path)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}

func main() {
	http.HandleFunc("/event-invoke", func(answer http.ResponseWriter, request *http.Request) {
		out, _ := exec.Command("sh", "-c", "echo one | cat").Output()
		fmt.Println(string(out), exec.Command("false").Run())
		time.Sleep(time.Second)
		fmt.Println(asked("/go"))
		time.Sleep(time.Second)
		fmt.Println(exec.Command("sleep", "5").Run())
		exec.Command("true").Run()
		fmt.Fprint(answer, 1)
	})
	http.ListenAndServe("0.0.0.0:9000", nil)
}
"""
ASYNCIO = """
import asyncio, time

async def child(text):
    started = await asyncio.create_subprocess_exec("sh", "-c", f"echo {text}", stdout=asyncio.subprocess.PIPE)
    return (await started.communicate())[0]

async def asked(port, text):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /{text} HTTP/1.0\\r\\n\\r\\n".encode())
    found = (await reader.read()).split()[-1]
    writer.close()
    return found

async def main(port):
    print(await asyncio.gather(*(child(f"text{n}") for n in range(3))), time.time(), flush=True)
    await asyncio.sleep(1)
    print(await asyncio.gather(child("one"), asked(port, "two"), asked(port, "three")), time.time(), flush=True)
    await asyncio.sleep(1)
    print(await asked(port, "four"), time.time(), flush=True)
    await (await asyncio.create_subprocess_exec("sleep", "5")).wait()

def main_handler(event, context):
    asyncio.run(main(event))
"""
HANDLER = """
import fcntl, os, subprocess, time, urllib.request

def main_handler(event, context):
    subprocess.run(["sh", "-c", "echo one | cat"])
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            os.write(1, b"of a fork\\n")
            os._exit(0)
        print(os.waitpid(pid, 0)[1], time.time(), flush=True)
        time.sleep(1)
    print(urllib.request.urlopen(f"http://127.0.0.1:{event}/handler").read(), os.system("true"), flush=True)
    time.sleep(1)
    with open("/tmp/lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
    subprocess.run(["sleep", "600"])
    subprocess.run(["true"])
"""


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """That of a server of the test."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as serving:
        thread = Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield serving.server_address[1]
        serving.shutdown()
        thread.join()


Invoke = Callable[[ScfRuntime], AsyncEvent]


@dataclass(frozen=True)
class Programs:
    """Invokes an event of each program, which may ask the server of the test at *port*."""

    directory: Path
    port: int
    build_go: Callable[[str], str]

    def _file(self, name: str, text: str) -> str:
        (self.directory / name).write_text(text)
        return name

    def _image(self, *command: str) -> Invoke:
        return lambda runtime: runtime.deploy_image(
            command, cwd=self.directory, ports=[self.port], timeout=3600, environment={"PORT": str(self.port)}
        ).invoke_async(self.port)

    def bash(self) -> Invoke:
        self._file("work.sh", BASH)
        return lambda runtime: runtime.deploy_image(
            ["bash", "work.sh"],
            cwd=self.directory,
            port=-1,
            ports=[self.port],
            timeout=3600,
            environment={"PORT": str(self.port)},
        ).invoke_async()

    def python(self) -> Invoke:
        return self._image("python3", "-I", self._file("server.py", PYTHON))

    def node(self) -> Invoke:
        return self._image("node", self._file("server.js", NODE))

    def go(self) -> Invoke:
        return self._image(self.build_go(GO))

    def asyncio(self) -> Invoke:
        return self._simulated(ASYNCIO)

    def handler(self) -> Invoke:
        return self._simulated(HANDLER)

    def _simulated(self, text: str) -> Invoke:
        file = self.directory / self._file("index.py", textwrap.dedent(text))
        return lambda runtime: runtime.deploy(
            f"{file}:main_handler", timeout=3600, children="simulated", ports=[self.port]
        ).invoke_async(self.port)


ROW = re.compile(r" *\+(\S+ s  wait +(?:an answer|wait|flock).*)")
ANSWER = "wait      an answer on a connection to 127.0.0.1:server"
"""What a row says of a request."""
ROWS = {
    "bash": [
        *("0 s  wait      wait4", f"3 s  {ANSWER}", "3 s  wait      wait4", "6 s  wait      wait4"),
        "610 s  wait      wait4",
    ],
    "python": [
        *("0 s  wait      wait4", f"1 s  {ANSWER}", "3 s  wait      wait4", "10.013 s  wait      wait4"),
        "11.013 s  wait      flock",
    ],
    "node": ["0 s  wait      wait4", f"1 s  {ANSWER}", "1 s  wait      wait4", "3 s  wait      wait4"],
    "go": ["0 s  wait      {}", f"1 s  {ANSWER}", "7 s  wait      {}"],
    "asyncio": [
        "0 s  wait      wait4 for the child of asyncio.subprocess.create_subprocess_exec at index.py:5",
        f"1.000001 s  {ANSWER} of asyncio.streams.open_connection at index.py:9",
        "1.000001 s  wait      wait4 for the child of asyncio.subprocess.create_subprocess_exec at index.py:5",
        f"2.000002 s  {ANSWER} of asyncio.streams.open_connection at index.py:9",
    ],
    "handler": [
        "0 s  wait      wait4 for the child of os.fork at index.py:7",
        "0 s  wait      wait4 for the child of subprocess.run at index.py:5",
        "1 s  wait      wait4 for the child of os.fork at index.py:7",
        "2 s  wait      wait4 for the child of os.fork at index.py:7",
        f"3 s  {ANSWER} of urllib.request.urlopen at index.py:13",
        "3 s  wait      wait4 for the child of os.system at index.py:13",
        "4 s  wait      flock in fcntl.flock at index.py:16",
        "604 s  wait      wait4 for the child of subprocess.run at index.py:18",
    ],
}
"""The rows of waits for others; Go waits in ``waitid`` where it has descriptors of processes."""


def seen(invoke: Invoke, port: int, *, leases: bool = True) -> list[str]:
    """The rows of an event that are no real time, and the lines of the program."""
    with ScfRuntime(ScfSettings(start=START, compute_grace=60, leases=leases)) as runtime:
        event = invoke(runtime)
        runtime.clock.advance(610)
        if not event.ended:
            event.terminate(grace_shutdown=True)
        event.wait()
        assert event.status == "FINISHED", event.timeline
        shown = [*event.timeline.splitlines(), *user_lines(event)]
        text = "\n".join(line for line in shown if not re.match(r" *\+\S+ s  real ", line))
        text = re.sub(r"MemUsage:\s?[\d.]+MB|[0-9a-f]{8}-[0-9a-f-]{27}", "…", text)
        return text.replace(str(port), "server").splitlines()


CASES = [
    "bash",
    "python",
    pytest.param("node", marks=pytest.mark.nodejs),
    pytest.param("go", marks=pytest.mark.go),
    "asyncio",
    "handler",
]


@pytest.mark.parametrize("name", CASES)
def test_each_instant_has_its_rows(name: str, tmp_path: Path, port: int, build_go: Callable[[str], str]) -> None:
    invoke: Invoke = getattr(Programs(tmp_path, port, build_go), name)()
    first = seen(invoke, port)
    rows = [found[1] for found in map(ROW.match, first) if found]
    of_go = "waitid" if any("waitid" in row for row in rows) else "wait4"
    assert rows == [row.format(of_go) for row in ROWS[name]]
    for _ in range(RUNS - 1):
        assert seen(invoke, port) == first


@pytest.mark.parametrize("name", CASES)
def test_leases_change_none_of_them(name: str, tmp_path: Path, port: int, build_go: Callable[[str], str]) -> None:
    invoke: Invoke = getattr(Programs(tmp_path, port, build_go), name)()
    assert seen(invoke, port, leases=False) == seen(invoke, port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connection_to_itself_has_no_row_before_it_is_accepted(tmp_path: Path, host: str) -> None:
    """What accepts it is a thread, so the machine's speed decides whether it has done so when something is sent."""
    (tmp_path / "index.py").write_text(
        textwrap.dedent(f"""
            import socket

            def main_handler(event, context):
                family = socket.AF_INET6 if ":" in {host!r} else socket.AF_INET
                with socket.create_server(({host!r}, 0), family=family) as server:
                    with socket.create_connection(server.getsockname()[:2]) as client:
                        client.sendall(b"before")
                        accepted, _ = server.accept()
                        client.sendall(b" and after")
                        client.shutdown(socket.SHUT_WR)
                        return accepted.makefile().read()
        """)
    )
    with ScfRuntime(ScfSettings(start=START)) as runtime:
        event = runtime.deploy(f"{tmp_path}/index.py:main_handler", children="simulated").invoke_async()
        assert event.wait().result == "before and after"
        assert "an answer" not in event.timeline
