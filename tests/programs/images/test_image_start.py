"""The start of an image's instance: until its program listens, or why it never does."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from image_support import COLD, program
from internals import version_of
from process_support import assert_body, assert_end, assert_reclaimed_for_good, short_log, user_lines

from pytest_scf_async import assert_finished
from pytest_scf_async.errors import GateNotReachedError, ScfUsageError

NOT_BOUND = "The request timed out in 30000ms.Please confirm your http server have enabled listening on port 9000."
ANSWER_1 = "def handle(event, request): return 1"


def only(host: str, port: int = 9000) -> str:
    return (
        f"the program listens on {host}:{port} only, where the platform cannot reach it: it must listen on "
        f"0.0.0.0:{port} (document 56051)"
    )


def test_the_time_until_it_listens_is_its_init(deploy_image):
    source = "import time; print('loading', flush=True); time.sleep(29)\n" + program(ANSWER_1)
    event = deploy_image(source).invoke_async().wait()

    log = ["START", "loading", "INIT 29000ms", "RESPONSE 1", "END", "REPORT 0ms"]
    assert_end(event, "FINISHED", 200, after=29, log=log)


def test_a_port_that_is_closed_at_30_s_is_446(deploy_image):
    event = deploy_image("import time\nwhile True: time.sleep(7)").invoke_async().wait()

    assert_end(event, "FAILED", 446, after=30, log=["START", "INIT 30000ms", "ERROR 446", "END", "REPORT 30000ms"])
    assert_body(event, errorCode=-1, errorMessage=NOT_BOUND)
    assert_reclaimed_for_good(event, "port not bound")


def test_a_program_that_listens_at_30_s_is_too_late(deploy_image):
    event = deploy_image("import time; time.sleep(30)\n" + program(ANSWER_1)).invoke_async().wait()

    assert (event.status_code, event.duration) == (446, timedelta(seconds=30))


def test_an_init_timeout_that_is_shorter_comes_first(deploy_image):
    event = deploy_image("import time; time.sleep(100)", init_timeout=10).invoke_async().wait()

    assert_end(event, "FAILED", 450, after=10, log=["START", "INIT 10000ms", "ERROR 450", "END", "REPORT 10000ms"])
    assert_reclaimed_for_good(event, "init timed out")


def test_an_init_timeout_of_30_s_is_450_as_well(deploy_image):
    event = deploy_image("import time; time.sleep(100)", init_timeout=30).invoke_async().wait()

    assert (event.status_code, event.duration) == (450, timedelta(seconds=30))


def test_an_image_has_90_s_to_start_unless_a_setting_says_otherwise(deploy_image, make_runtime):
    assert version_of(deploy_image(ANSWER_1)).configuration.init_timeout == 90
    other = make_runtime(init_timeout=12)
    assert version_of(deploy_image(ANSWER_1, to=other)).configuration.init_timeout == 12
    assert version_of(deploy_image(ANSWER_1, to=other, init_timeout=5)).configuration.init_timeout == 5


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_program_that_listens_on_its_own_loopback_only_is_reported(deploy_image, host):
    event = deploy_image(program(ANSWER_1, address=host)).invoke_async().wait()

    assert_end(event, "FAILED", 446, log=["START", "INIT 0ms", "ERROR 446", "END", "REPORT 0ms"])
    shown = event.error["errorMessage"]
    assert shown in (only("127.0.0.1"), only("localhost"))
    assert_reclaimed_for_good(event, "port not bound")


@pytest.mark.parametrize(("family", "address"), [("AF_INET", ""), ("AF_INET6", "::")])
def test_a_program_may_listen_on_all_addresses_in_either_family(deploy_image, family, address):
    server = f"""
    import socket
    class Server(ThreadingHTTPServer):
        address_family = socket.{family}
    def handle(event, request):
        return 1
    """
    event = deploy_image(program(server, server="Server", address=address)).invoke_async().wait()

    assert event.result == 1


def test_a_program_on_ipv6_loopback_only_is_reported(deploy_image):
    server = f"""
    import socket
    class Server(HTTPServer):
        address_family = socket.AF_INET6
    {ANSWER_1}
    """
    event = deploy_image(program(server, server="Server", address="::1")).invoke_async().wait()

    assert (event.status_code, event.error["errorMessage"]) == (446, only("[::1]"))


def test_a_program_listens_on_the_port_that_was_given(deploy_image):
    event = deploy_image(program(ANSWER_1, port=8080), port=8080).invoke_async().wait()

    assert event.result == 1


def test_a_program_on_another_port_is_446(deploy_image):
    event = deploy_image(program(ANSWER_1, port=8080)).invoke_async().wait()

    assert (event.status_code, event.error["errorMessage"]) == (446, NOT_BOUND)


def test_a_program_sees_the_address_that_it_has_bound(deploy_image):
    handle = "def handle(event, request): return list(request.server.socket.getsockname())"
    event = deploy_image(program(handle)).invoke_async().wait()

    assert event.result == ["0.0.0.0", 9000]


def test_a_program_that_closes_its_port_between_events_is_446(deploy_image):
    handle = "def handle(event, request): request.server.socket.close(); return 1"
    source = program(handle, server="Server").replace(
        "Server((", "class Server(HTTPServer): pass\nserver = Server((", 1
    )
    source = source.replace(").serve_forever()", ")\nserver.handle_request()\nwhile True: time.sleep(5)")
    function = deploy_image(source)

    assert function.invoke_async().wait().result == 1
    event = function.invoke_async().wait()

    assert (event.status, event.status_code) == ("FAILED", 446)
    assert event.error["errorMessage"] == "the program no longer listens on its port"


def test_what_a_program_does_before_it_listens_it_may_do_in_threads(deploy_image):
    source = """
        import threading
        def load():
            time.sleep(3)
            ready.set()
        ready = threading.Event()
        threading.Thread(target=load).start()
        ready.wait()
        def handle(event, request):
            return 1
    """
    event = deploy_image(program(source)).invoke_async().wait()

    assert short_log(event)[:2] == ["START", "INIT 3000ms"]


def test_run_to_init_stands_before_the_first_line_of_the_program(deploy_image):
    event = deploy_image("print('first', flush=True)\n" + program(ANSWER_1)).invoke_async()

    event.run_to("init")

    assert (event.doing, user_lines(event)) == ("gated", [])
    assert event.wait().result == 1


def test_before_init_is_called_before_the_program(deploy_in_process, tmp_path):
    (tmp_path / "fakes.py").write_text(
        "def install(value):\n    import builtins\n    builtins.fake = value\n    print('installed', flush=True)\n"
    )
    source = "print('program', fake, flush=True)\n" + program("def handle(event, request): return fake")
    function = deploy_in_process(source, before_init=f"{tmp_path}/fakes.py:install", before_init_args={"value": 42})

    event = function.invoke_async().wait()

    assert event.result == 42
    assert user_lines(event) == ["installed", "program 42"]


def test_before_init_that_raises_is_the_tests_fault(deploy_in_process, tmp_path):
    (tmp_path / "fakes.py").write_text("def install():\n    raise RuntimeError('no fake')\n")
    function = deploy_in_process(program(ANSWER_1), before_init=f"{tmp_path}/fakes.py:install")

    with pytest.raises(ScfUsageError, match=r"before_init=.* of function 'app' raised RuntimeError: no fake"):
        function.invoke_async().wait()


def test_a_program_is_main_and_finds_what_python_gives_it(deploy_image, tmp_path):
    (tmp_path / "image1").mkdir()
    source = """
        import os, sys
        found = {
            "name": __name__, "file": __file__, "argv": sys.argv, "path": sys.path[0], "cwd": os.getcwd(),
            "main": sys.modules["__main__"].__dict__ is globals(), "spec": __spec__, "doc": __doc__,
            "package": __package__, "executable": sys.executable,
        }
        def handle(event, request):
            return found
    """
    (tmp_path / "image1").rmdir()
    function = deploy_image(program(source), command=["python", "app.py", "--level", "3"])

    directory = str(tmp_path / "image1")
    assert function.invoke_async().wait().result == {
        "name": "__main__",
        "file": f"{directory}/app.py",
        "argv": ["app.py", "--level", "3"],
        "path": directory,
        "cwd": directory,
        "main": True,
        "spec": None,
        "doc": None,
        "package": None,
        "executable": sys.executable,
    }


def test_a_module_is_run_as_python_m_does(deploy_image, tmp_path):
    package = tmp_path / "image1" / "service"
    command = ["python", "-u", "-m", "service", "a"]
    function = deploy_image("", command=command)
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "other.py").write_text("VALUE = 5\n")
    source = program("def handle(event, request): return [VALUE, sys.argv, __name__, __package__]")
    (package / "__main__.py").write_text("from .other import VALUE\n" + source)

    event = function.invoke_async().wait()

    assert event.result == [5, [f"{package}/__main__.py", "a"], "__main__", "service"]


def test_a_module_that_is_not_there_is_439_in_pythons_words(deploy_in_process):
    event = deploy_in_process("", command=["python", "-m", "no_such_module_here"]).invoke_async().wait()

    assert event.status_code == 439
    assert "No module named no_such_module_here" in user_lines(event)[-1]
    with pytest.raises(AssertionError) as failure:
        assert_finished(event)
    assert (
        "\nlikely cause: the process ended by itself during init (exit code 1) with ImportError: No module named "
        "no_such_module_here: the platform reports 439 whatever the exit code\n"
    ) in str(failure.value)


def test_a_program_that_is_no_python_is_439_in_pythons_words(deploy_image):
    event = deploy_image("this is no Python\n").invoke_async().wait()

    assert event.status_code == 439
    assert user_lines(event)[-1].startswith("SyntaxError: invalid syntax")


def test_a_traceback_of_the_program_has_no_line_of_ours(deploy_image, tmp_path):
    event = deploy_image("def main():\n    raise KeyError('x')\nmain()\n").invoke_async().wait()

    assert [line for line in user_lines(event) if "^" not in line and "~" not in line] == [
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/image1/app.py", line 3, in <module>',
        "    main()",
        f'  File "{tmp_path}/image1/app.py", line 2, in main',
        "    raise KeyError('x')",
        "KeyError: 'x'",
    ]


def test_a_gate_that_the_program_never_reaches_is_reported_with_its_log(deploy_image):
    event = deploy_image("print('bye', flush=True)").invoke_async()

    with pytest.raises(GateNotReachedError, match=r"(?s)is FAILED \(439\) and never reached .*bye"):
        event.wait_for_log("ready")


def test_the_cold_start_of_a_program_takes_no_simulated_time(deploy_image):
    assert short_log(deploy_image(program(ANSWER_1)).invoke_async().wait())[:2] == COLD
