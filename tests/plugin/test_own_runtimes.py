"""``ScfRuntime()`` in a test: it takes from the session what it is not given."""

from __future__ import annotations

import pytest

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once


def test_settings_come_from_the_ini_file_and_the_command_line_and_those_given_win(project: pytest.Pytester) -> None:
    ini = project.path / "tox.ini"
    ini.write_text(f"{ini.read_text()}\nscf_async_idle_reclaim = 7\nscf_async_init_timeout = 8\n")
    project.makepyfile(
        """
        from pytest_scf_async import ScfRuntime, ScfSettings

        def test_it():
            given = ScfSettings(init_timeout=9, idle_reclaim=300)
            with ScfRuntime(given) as runtime, ScfRuntime() as other:
                sources = [runtime.settings.source(name) for name in ("init_timeout", "idle_reclaim", "stop_noise")]
                assert sources == ["ScfSettings(...)", "ScfSettings(...)", "ini: scf_async_stop_noise"]
                values = [(each.settings.init_timeout, each.settings.idle_reclaim) for each in (runtime, other)]
                assert values == [(9, 300), (8, 7)]
                assert (runtime.settings.stop_noise, other.settings.stop_noise) == (0.25, 0.25)
        """
    )
    result = project.runpytest("-oscf_async_stop_noise=0.25")
    result.assert_outcomes(passed=1)


def test_code_is_looked_up_beside_the_test_and_then_in_the_root_directory(project: pytest.Pytester) -> None:
    project.mkpydir("suite")
    (project.path / "suite" / "beside.py").write_text("def main_handler(event, context):\n    return 'beside'\n")
    (project.path / "suite" / "test_it.py").write_text(
        "from pytest_scf_async import ScfRuntime\n"
        "def test_it(tmp_path, monkeypatch):\n"
        "    monkeypatch.chdir(tmp_path)\n"
        "    with ScfRuntime() as runtime:\n"
        "        assert runtime.deploy('beside.py:main_handler').run() == 'beside'\n"
        "        assert runtime.deploy('handlers/echo.py:main_handler').run(3) == 3\n"
        "def test_what_is_given_wins(tmp_path):\n"
        "    (tmp_path / 'beside.py').write_text('def main_handler(event, context): return 1')\n"
        "    with ScfRuntime(lookup=[tmp_path]) as runtime:\n"
        "        assert runtime.deploy('beside.py:main_handler').run() == 1\n"
    )
    project.runpytest().assert_outcomes(passed=2)


def test_hooks_hear_of_its_events_and_a_failed_test_shows_them(project: pytest.Pytester) -> None:
    project.makeconftest("def pytest_scf_async_event_ended(event):\n    print('ended', event.status)\n")
    project.makepyfile(
        """
        from pytest_scf_async import ScfRuntime

        def test_it(tmp_path):
            with ScfRuntime() as runtime:
                function = runtime.deploy("handlers/echo.py:main_handler")
                assert function.invoke_async(1).wait().result == 2
        """
    )
    result = project.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ended FINISHED", "*scf async event*", "echo: FINISHED*", "*--- in full: *"])


def test_a_session_within_a_session_gives_its_own(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from pytest_scf_async import ScfRuntime
        pytest_plugins = ["pytester"]

        def test_it(pytester):
            pytester.makepyfile('''
                from pytest_scf_async import ScfRuntime
                def test_inner():
                    with ScfRuntime() as runtime:
                        assert runtime.settings.idle_reclaim == 5
                ''')
            pytester.runpytest_inprocess("-oscf_async_idle_reclaim=5").assert_outcomes(passed=1)
            with ScfRuntime() as runtime:
                assert runtime.settings.idle_reclaim == 300
        """
    )
    project.runpytest().assert_outcomes(passed=1)
