"""Programs that cannot be traced on this machine: they see real time, and the session reports why."""

from __future__ import annotations

import sys
import textwrap

import pytest
from forked_pytest import run_forked
from free_ports import free_port
from plugin_support import ALONE_AND_WITH_A_WORKER, PLAIN_OPTIONS, REFUSE

# once: pytest's side, and the kernel's: the same on all Pythons
pytestmark = pytest.mark.once

SERVER = """
    import json, time
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Platform(BaseHTTPRequestHandler):
        def do_POST(self):
            before = time.time()
            time.sleep(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            data = json.dumps(round(time.time() - before)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    HTTPServer(("0.0.0.0", PORT), Platform).serve_forever()
"""
TEST = """
    import warnings

    def test_it(scf_runtime):
        with warnings.catch_warnings(record=True) as reported:
            warnings.simplefilter("always")
            function = scf_runtime.deploy_image(["python", "-I", "app.py"], port=PORT)
        for each in reported:
            print("seen:", each.message)
        assert function.run({seconds}) == {seconds}
"""
PORT = free_port()
TEST = textwrap.dedent(TEST).replace("PORT", str(PORT))
TRACED = TEST.replace("{seconds}", "86_000")
"""No free-running program does that within the time that a test has."""
UNTRACED = TEST.replace("{seconds}", "1")


@pytest.fixture
def project(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)  # not the settings of the whole suite
    project.path.joinpath("app.py").write_text(textwrap.dedent(SERVER).replace("PORT", str(PORT)))
    return project


def refuse(project: pytest.Pytester, call: dict[str, int], argument: int | None = None, error: str = "EPERM") -> None:
    project.makeconftest(textwrap.dedent(REFUSE.format(call=call, argument=argument, error=error)))


def lines(result: pytest.RunResult, start: str) -> list[str]:
    return [line for line in result.outlines if line.startswith(start)]


BY_A_FILTER = "; a filter of system calls or a security module forbids it, as in some containers"
PTRACE = {"x86_64": 101, "aarch64": 117}
SECCOMP = {"x86_64": 157, "aarch64": 167}
READV = {"x86_64": 310, "aarch64": 270}
WRITEV = {"x86_64": 311, "aarch64": 271}
PIDFD_GETFD = {"x86_64": 438, "aarch64": 438}
REFUSALS = pytest.mark.parametrize(
    ("call", "argument", "error", "why"),
    [
        pytest.param(PTRACE, None, "EPERM", f"ptrace: Operation not permitted{BY_A_FILTER}", id="ptrace"),
        pytest.param(PTRACE, None, "ENOSYS", f"ptrace: Function not implemented{BY_A_FILTER}", id="no ptrace"),
        pytest.param(
            PTRACE,
            0x4206,
            "EIO",
            "ptrace: Input/output error; the kernel has no PTRACE_SEIZE with the options that are needed",
            id="an old kernel",
        ),
        pytest.param(READV, None, "EPERM", f"process_vm_readv: Operation not permitted{BY_A_FILTER}", id="readv"),
        pytest.param(WRITEV, None, "EPERM", f"process_vm_writev: Operation not permitted{BY_A_FILTER}", id="writev"),
        pytest.param(
            PIDFD_GETFD, None, "EPERM", f"pidfd_getfd: Operation not permitted{BY_A_FILTER}", id="pidfd_getfd"
        ),
        pytest.param(
            SECCOMP, 22, "EINVAL", "no filter of system calls can be installed (Invalid argument)", id="no filters"
        ),
    ],
)


@REFUSALS
def test_where_it_is_refused_they_are_free_running_and_the_warning_and_a_line_say_why(
    project: pytest.Pytester, call: dict[str, int], argument: int | None, error: str, why: str
) -> None:
    refuse(project, call, argument, error)
    project.makepyfile(UNTRACED)

    result = run_forked(project, "-rP")

    result.assert_outcomes(passed=1)
    (reported,) = lines(result, "seen: ")
    assert reported == (
        f"seen: programs cannot be traced on this machine ({why}): its instances are free-running: they see real time, "
        "and their waits take as long as they take"
    )
    assert lines(result, "scf-async: programs see") == [
        f"scf-async: programs see real time, as they cannot be traced ({why})"
    ]


@pytest.mark.sandbox
def test_where_it_works_nothing_is_said(project: pytest.Pytester) -> None:
    project.makepyfile(TRACED)
    result = run_forked(project, "-rP")
    result.assert_outcomes(passed=1)
    assert lines(result, "seen: ") + lines(result, "scf-async: programs see") == []


@ALONE_AND_WITH_A_WORKER
def test_the_line_is_there_once_and_not_with_q(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    refuse(project, PTRACE)
    project.makepyfile(UNTRACED)
    for options, count in (((), 1), (("-q",), 0)):
        result = run_forked(project, *options, *workers)
        result.assert_outcomes(passed=1)
        assert len(lines(result, "scf-async: programs see real time")) == count


@ALONE_AND_WITH_A_WORKER
def test_the_header_of_the_next_session_says_it_until_a_trial_succeeds(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    def header(*options: str) -> list[str]:
        result = run_forked(project, *options, *workers)
        result.assert_outcomes(passed=1)
        first_test = next(at for at, line in enumerate(result.outlines) if "%" in line)
        return [line for line in result.outlines[:first_test] if line.startswith("scf-async: programs")]

    project.makeini(f"[pytest]\nfilterwarnings = error\naddopts = {PLAIN_OPTIONS}")  # with pytest's cache
    refuse(project, PTRACE)
    project.makepyfile(test_it=UNTRACED)
    why = f"ptrace: Operation not permitted{BY_A_FILTER}"
    said = f"scf-async: programs saw real time in the last session that had some: they could not be traced ({why})"
    assert header() == []
    assert header() == [said]
    if not workers:  # what is left out of the header is the controller's affair
        assert header("-q") == []
        assert header("-p", "no:cacheprovider") == []
    project.makepyfile(test_it="def test_it(): pass")
    assert header() == [said], "a session without programs knows nothing new"

    project.path.joinpath("conftest.py").unlink()
    project.makepyfile(test_it=UNTRACED)
    assert header() == [said]
    assert header() == []


def test_a_session_without_programs_does_not_try_it(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import sys

        def test_it(scf_runtime):
            assert scf_runtime.deploy("handlers/echo.py:main_handler").run(1) == 1
            (zygote,) = sys.modules["pytest_scf_async.instances.zygote"]._shared.values()
            assert zygote.untraced is None
    """)
    run_forked(project).assert_outcomes(passed=1)


def test_it_is_tried_once_a_session(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import sys
        from pytest_scf_async.protocol import messages

        def test_it(scf_runtime):
            for _ in range(2):
                scf_runtime.deploy_image(["python", "-I", "app.py"])
            (zygote,) = sys.modules["pytest_scf_async.instances.zygote"]._shared.values()
            assert zygote.untraced == ""
            assert zygote.take_number() == 2
    """)
    run_forked(project).assert_outcomes(passed=1)


@pytest.mark.parametrize("sandbox", ["auto", "none"])
@pytest.mark.sandbox
def test_in_a_user_namespace_it_works(project: pytest.Pytester, sandbox: str) -> None:
    project.makepyfile(TRACED)
    command = (sys.executable, "-m", "pytest", "-rP", f"--scf-async-sandbox={sandbox}", "--basetemp=base")

    result = project.run("unshare", "--user", "--map-root-user", *command)

    result.assert_outcomes(passed=1)
    assert lines(result, "seen: ") + lines(result, "scf-async: programs see") == []
