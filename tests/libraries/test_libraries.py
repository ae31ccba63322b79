"""Libraries with code in C work in an instance, and see simulated time, wherever they are imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import uses
from internals import close_shared_zygote

pytestmark = pytest.mark.once

HERE = Path(__file__).parent
YEAR = 365 * 86_400

HANDLER = f"""
import sys
sys.path.append({str(HERE)!r})
import uses

def main_handler(event, context):
    return [event["module"] in sys.modules, uses.run(event["use"])]
"""

PREPARE = f"""
import sys
sys.path.append({str(HERE)!r})
import uses

def prepare(use):
    print("before", uses.USES[use]())
"""


def assert_works(event: Any, use: str, *, imported: bool) -> None:
    """The library computed the right things, and had the time of the instance, at its start and an hour later."""
    event.wait()
    assert event.status == "FINISHED", str(event.log)
    found, (first, second) = event.result
    assert found is imported
    for computed, now, clock in (first, second):
        assert computed == uses.EXPECTED[use]
        assert now is None or now == pytest.approx(clock, abs=0.001)
    assert second[2] - first[2] == pytest.approx(3600, abs=0.001)
    assert first[2] == pytest.approx(event.started_at.timestamp(), abs=0.001)


@pytest.mark.parametrize("use", uses.USES)
def test_in_a_handler(deploy, runtime, use: str) -> None:
    runtime.clock.advance(YEAR)
    event = deploy(HANDLER).invoke_async({"module": uses.MODULES[use], "use": use})

    assert_works(event, use, imported=False)


@pytest.fixture
def pandas_2() -> str:
    """The directory that has pandas 2, beside pandas 3: `make libraries` puts it there."""
    directory = Path(sys.prefix) / "pandas-2"
    assert (directory / "pandas").is_dir(), f"run `make libraries`, which installs pandas 2 into {directory}"
    return str(directory)


OF_PANDAS_2 = HANDLER.replace(
    "import uses\n", "import uses, pandas\nassert pandas.__version__[0] == '2', pandas.__file__\n"
)
PANDAS = {"module": "pandas", "use": "of_pandas"}


def test_pandas_2_in_a_handler(deploy, runtime, pandas_2: str) -> None:
    runtime.clock.advance(YEAR)
    event = deploy(f"import sys\nsys.path.insert(0, {pandas_2!r})\n{OF_PANDAS_2}").invoke_async(PANDAS)

    assert_works(event, "of_pandas", imported=True)


def test_pandas_2_in_before_init(deploy, runtime, tmp_path: Path, pandas_2: str) -> None:
    runtime.clock.advance(YEAR)
    (tmp_path / "fakes.py").write_text(f"import sys\nsys.path.insert(0, {pandas_2!r})\n{PREPARE}")
    options = {"before_init": f"{tmp_path}/fakes.py:prepare", "before_init_args": ["of_pandas"]}
    event = deploy(OF_PANDAS_2, **options).invoke_async(PANDAS)

    assert_works(event, "of_pandas", imported=True)


def test_pandas_2_in_preload(deploy, make_runtime, pandas_2: str, monkeypatch) -> None:
    close_shared_zygote()  # the next one finds pandas 2 first
    monkeypatch.setenv("PYTHONPATH", pandas_2)
    try:
        runtime = make_runtime(preload=["pandas"])
        runtime.clock.advance(YEAR)
        event = deploy(OF_PANDAS_2, to=runtime).invoke_async(PANDAS)

        assert_works(event, "of_pandas", imported=True)
    finally:
        close_shared_zygote()


@pytest.mark.parametrize("use", uses.USES)
def test_in_before_init(deploy, runtime, tmp_path: Path, use: str) -> None:
    runtime.clock.advance(YEAR)
    (tmp_path / "fakes.py").write_text(PREPARE)
    function = deploy(HANDLER, before_init=f"{tmp_path}/fakes.py:prepare", before_init_args=[use])
    event = function.invoke_async({"module": uses.MODULES[use], "use": use})

    assert_works(event, use, imported=True)


@pytest.mark.parametrize("use", uses.USES)
def test_in_preload(deploy, make_runtime, use: str) -> None:
    runtime = make_runtime(preload=[uses.MODULES[use]])
    runtime.clock.advance(YEAR)
    event = deploy(HANDLER, to=runtime).invoke_async({"module": uses.MODULES[use], "use": use})

    assert_works(event, use, imported=True)
