"""``scf_runtime_factory``: runtimes that live longer than a test, and the fixtures on top of one."""

from __future__ import annotations

import re
import textwrap

import pytest
from forked_pytest import run_forked
from plugin_support import LIMIT_BEGINS, WAITS, locked

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

OF_A_MODULE = """
    import pytest

    @pytest.fixture(scope="module")
    def scf_runtime(scf_runtime_factory):
        with scf_runtime_factory() as runtime:
            yield runtime
"""


def test_the_fixtures_work_on_a_runtime_of_a_module(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_first=OF_A_MODULE
        + """
    @pytest.fixture(scope="module")
    def echo(scf_runtime):
        return scf_runtime.deploy("handlers/echo.py:main_handler")

    seen = []

    @pytest.mark.parametrize("number", [1, 2])
    @pytest.mark.scf_function("handlers/sleeps.py:main_handler")
    def test_it(scf_runtime, scf_clock, scf_function, async_event, scf_endpoint, echo, number):
        seen.append(scf_runtime)
        assert scf_clock is scf_runtime.clock
        assert scf_function.name == ("sleeps" if number == 1 else "sleeps-2")
        assert len(scf_runtime.events) == 2 * number - 1
        assert echo.run(number) == number
        assert async_event.wait().result == "slept"

    @pytest.mark.parametrize("number", [1, 2])
    def test_the_instance_is_warm_in_the_second(scf_runtime, number):
        copy = scf_runtime.functions.get("copy") or scf_runtime.deploy("handlers/echo.py:main_handler", name="copy")
        assert copy.invoke_async().wait().instance.cold is (number == 1)

    def test_all_were_on_one_that_is_open():
        assert len(seen) == 2 and seen[0] is seen[1]
        assert seen[0].deploy("handlers/echo.py:main_handler").run(3) == 3
    """,
        test_next="""
    import pytest
    from pytest_scf_async import ScfUsageError
    from test_first import seen

    def test_it_is_closed_with_its_module():
        with pytest.raises(ScfUsageError, match="the runtime is closed"):
            seen[0].functions["echo"].invoke_async()
    """,
    )
    project.runpytest("-p", "no:randomly").assert_outcomes(passed=6)


def test_settings_come_from_all_sources_and_those_given_win(project: pytest.Pytester) -> None:
    ini = project.path / "tox.ini"
    ini.write_text(f"{ini.read_text()}\nscf_async_idle_reclaim = 7\nscf_async_init_timeout = 8\n")
    project.makepyfile(
        """
        from datetime import datetime, timezone
        from pytest_scf_async import ScfSettings

        def test_it(scf_runtime_factory):
            given = ScfSettings(init_timeout=9, stop_noise=0.5)
            start = datetime(2027, 1, 1, tzinfo=timezone.utc)
            with scf_runtime_factory(given, start=start) as runtime, scf_runtime_factory() as other:
                of_the_suite = {"sandbox", "clock"}
                found = {
                    name: (value, runtime.settings.source(name))
                    for name, value in runtime.settings.changed().items()
                    if name not in of_the_suite
                }
                assert found == {
                    "idle_reclaim": (7, "ini: scf_async_idle_reclaim"),
                    "init_timeout": (9, "scf_runtime_factory(settings=...)"),
                    "real_timeout": (33, "command line: --scf-async-real-timeout"),
                    "start": (start, "scf_runtime_factory(start=...)"),
                    "stop_noise": (0.5, "scf_runtime_factory(settings=...)"),
                }
                assert runtime.clock.now == start
                assert other.settings.init_timeout == 8
                assert other.clock.now == datetime(2026, 1, 1, tzinfo=timezone.utc)
        """
    )
    options = ("--scf-async-real-timeout=33", "--scf-async-start=2026-01-01T00:00:00Z")
    project.runpytest(*options).assert_outcomes(passed=1)


@pytest.mark.parametrize("closed", [True, False], ids=["by the fixture", "by the session"])
@pytest.mark.parametrize(("option", "outcome"), [("default", {"warnings": 1}), ("error", {"errors": 1})])
def test_more_memory_than_a_function_has_is_warned_of_as_it_closes(
    project: pytest.Pytester, option: str, outcome: dict[str, int], closed: bool
) -> None:
    uses = "\ndef uses(event, context):\n    return len(b'x' * (event << 20))\n"
    test = "\ndef test_it(scf_runtime):\n    assert scf_runtime.deploy(uses, name='eats').run(250)\n"
    of_session = OF_A_MODULE.replace(
        "with scf_runtime_factory() as runtime:", "runtime = scf_runtime_factory()"
    ).replace("            yield", "        yield")
    project.makepyfile(textwrap.dedent(OF_A_MODULE if closed else of_session) + uses + test)

    result = project.runpytest(f"-W{option}")
    result.assert_outcomes(passed=1, **outcome)
    said = r"ScfAsyncWarning: event \S+ of eats used 2\d\d MB and would be FAILED \(434\)"
    assert len(re.findall(said, result.stdout.str())) == 1


def test_code_is_looked_up_beside_the_test_that_asks_first_and_then_below_the_root(project: pytest.Pytester) -> None:
    project.makeconftest(OF_A_MODULE)
    test = """
def test_near_and_far(scf_runtime, tmp_path):
    near = scf_runtime.deploy("near.py:main_handler", environment={"OUT": str(tmp_path)})
    assert near.run() == "%s"
    assert (tmp_path / "written").exists()
    assert scf_runtime.deploy("handlers/sleeps.py:main_handler").run() == "slept"
"""
    for name in ("one", "two"):
        directory = project.mkdir(name)
        directory.joinpath("near.py").write_text(
            "import os, pathlib\n\ndef main_handler(event, context):\n"
            f"    pathlib.Path(os.environ['OUT'], 'written').touch()\n    return {name!r}\n"
        )
        directory.joinpath(f"test_{name}.py").write_text(test % name)
    project.runpytest("--rootdir", str(project.path)).assert_outcomes(passed=2)


def test_hooks_and_live_log_are_those_of_the_session(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        ended = []

        def pytest_scf_async_instance_started(instance):
            ended.append("started")

        def pytest_scf_async_event_ended(event):
            ended.append(event.status)
        """
    )
    project.makepyfile(
        OF_A_MODULE
        + """
    def test_it(scf_runtime):
        from conftest import ended
        scf_runtime.deploy("handlers/echo.py:main_handler").run("live")
        assert ended == ["started", "FINISHED"]
    """
    )
    result = run_forked(project, "--scf-async-live-log")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*echo ???????? +0 s | got live"])


def test_request_ids_are_the_same_in_each_run(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_ids(scf_runtime_factory, number):
            with scf_runtime_factory() as first, scf_runtime_factory() as second:
                for runtime in (first, second):
                    function = runtime.deploy("handlers/echo.py:main_handler")
                    print("ids", *(function.invoke_async().request_id for _ in range(2)))
        """
    )
    runs = [re.findall("ids ([0-9a-f-]+ [0-9a-f-]+)", project.runpytest("-s").stdout.str()) for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(set(" ".join(runs[0]).split())) == 8


def test_what_is_open_at_the_end_of_the_session_is_closed_then(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import os, select

        pidfds, runtimes = [], []

        def pytest_unconfigure(config):
            for pidfd in pidfds:
                assert select.select([pidfd], [], [], 60)[0], "its process is still there"
            print("closed:", len(pidfds), all("closed" in str(refusal(runtime)) for runtime in runtimes))

        def refusal(runtime):
            try:
                runtime.functions["sleeps"].invoke_async()
            except Exception as error:
                return error
        """
    )
    project.makepyfile(
        """
        import os
        from conftest import pidfds, runtimes

        def test_it(scf_runtime_factory):
            for _ in range(2):
                runtimes.append(scf_runtime_factory())
                event = runtimes[-1].deploy("handlers/sleeps.py:main_handler").invoke_async().settle()
                pidfds.append(os.pidfd_open(event.instance.pid))

        def test_they_go_on():
            assert [runtime.events[0].wait().status for runtime in runtimes] == ["FINISHED", "FINISHED"]
        """
    )
    result = run_forked(project, "-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*closed: 2 True"])


def test_the_rules_at_the_end_of_a_test_do_not_apply(project: pytest.Pytester) -> None:
    project.makepyfile(
        OF_A_MODULE
        + """
    def test_leaves_all_that_they_forbid(scf_runtime):
        scf_runtime.deploy("handlers/raises.py:main_handler").invoke_async().wait()
        scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async().settle()
        scf_runtime.deploy("handlers/echo.py:main_handler").invoke_async()

    def test_goes_on_with_it(scf_runtime):
        assert [event.status for event in scf_runtime.wait_all()] == ["FAILED", "FINISHED", "FINISHED"]
    """
    )
    project.runpytest("-p", "no:randomly").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            "settings={'timeout': 5}",
            "scf_runtime_factory: settings is of type dict; it must be ScfSettings(...)",
        ),
        (
            "start=datetime(2026, 1, 1)",
            "scf_runtime_factory: start=datetime.datetime(*) (scf_runtime_factory(start=...)) is not valid: *",
        ),
        (
            "ScfSettings(patched=True)",
            "scf_runtime_factory: patched=True (scf_runtime_factory(settings=...)) is for a runtime of one test, *",
        ),
    ],
)
def test_what_is_not_valid_is_one_sentence(project: pytest.Pytester, call: str, sentence: str) -> None:
    project.makepyfile(
        f"""
        from datetime import datetime
        import pytest
        from pytest_scf_async import ScfSettings

        @pytest.fixture(scope="module")
        def scf_runtime(scf_runtime_factory):
            with scf_runtime_factory({call}) as runtime:
                yield runtime

        def test_it(scf_clock): pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"test_what_is_not_valid_is_one_sentence.py::test_it: {sentence}".replace("[", "[[]")])
    assert "factory.py" not in result.stdout.str()


@pytest.mark.parametrize(
    ("fixture", "instead"),
    [
        ("scf_runtime", "let it be a runtime of scf_runtime_factory, which lives as long as you want: `with *"),
        ("scf_clock", "use the clock of a runtime of scf_runtime_factory*"),
        ("scf_function", "deploy it in a runtime of scf_runtime_factory*"),
        ("async_event", "invoke it in a runtime of scf_runtime_factory*"),
        ("scf_endpoint", "serve a runtime of scf_runtime_factory*: `with ScfEndpoint(runtime) as endpoint*"),
        ("scf_client", "serve a runtime of scf_runtime_factory*"),
        ("scf_settings", "give them to scf_runtime_factory(ScfSettings(...)), or override scf_settings *"),
    ],
)
def test_a_fixture_of_a_module_that_asks_for_one_of_a_test(
    project: pytest.Pytester, fixture: str, instead: str
) -> None:
    project.makepyfile(
        test_it=f"""
        import pytest

        @pytest.fixture(scope="module")
        def mine({fixture}): pass

        def test_it(mine): pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"test_it.py::test_it: a fixture of the scope 'module' asks for {fixture}, which lives as *; {instead}"]
    )
    assert "ScopeMismatch" not in result.stdout.str()


def test_a_mismatch_of_other_fixtures_is_pytests(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.fixture
        def short(): pass

        @pytest.fixture(scope="module")
        def mine(short): pass

        def test_it(mine): pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ScopeMismatch: You tried to access the function scoped fixture short *"])


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_a_test_out_of_time_says_what_the_instances_of_all_runtimes_do(project: pytest.Pytester, method: str) -> None:
    waits = project.path / "handlers" / "waits.py"
    waits.write_text(WAITS)
    project.makeconftest(LIMIT_BEGINS)
    project.makepyfile(
        OF_A_MODULE
        + """
    @pytest.fixture(scope="module")
    def sleeping(scf_runtime):
        return scf_runtime.deploy("handlers/sleeps.py:main_handler").invoke_async().settle()

    def test_starts_it(sleeping): pass

    @pytest.mark.timeout(60, func_only=True)
    def test_it(sleeping, scf_runtime_factory, limit_begins):
        event = scf_runtime_factory().deploy("handlers/waits.py:main_handler").invoke_async().settle()
        limit_begins()
        event.wait()
    """
    )
    with locked(waits):
        result = run_forked(project, f"--timeout-method={method}", "-p", "no:xdist", "-p", "no:randomly")
    text = result.stdout.str() + result.stderr.str()
    assert text.count("scf async: what the instances were doing") == 1
    assert " of sleeps is parked in sleep(3600)" in text
    assert re.search(r"event \S+ of waits is held by a real wait", text)
