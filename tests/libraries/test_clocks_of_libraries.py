"""Which clock a library reads when it does so itself, as docs/libraries.md has it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import uses

pytestmark = pytest.mark.once

DOCS = Path(__file__).parents[2] / "docs" / "libraries.md"
DAY = 86_400

SIMULATED = {
    "pandas.Timestamp.now()": "import pandas; now = pandas.Timestamp.now('UTC').timestamp()",
    'pandas.Timestamp("now")': "import pandas; now = pandas.Timestamp('now').timestamp()",
    "pandas.Timestamp.today()": "import pandas; now = pandas.Timestamp.today().timestamp()",
    'pandas.to_datetime("now")': "import pandas; now = pandas.to_datetime('now', utc=True).timestamp()",
    "pendulum.now()": "import pendulum; now = pendulum.now().timestamp()",
    "arrow.utcnow()": "import arrow; now = arrow.utcnow().timestamp()",
    "uuid.uuid1()": "import uuid; now = (uuid.uuid1().time - 0x01B21DD213814000) / 1e7",
}
MACHINES = {
    "datetime('now')": (
        "import sqlite3; now = sqlite3.connect(':memory:').execute(\"select unixepoch(datetime('now'))\").fetchone()[0]"
    ),
    "sqlalchemy.func.now()": (
        "import sqlalchemy; engine = sqlalchemy.create_engine('sqlite://'); "
        "now = engine.connect().scalar(sqlalchemy.select(sqlalchemy.func.now())).timestamp()"
    ),
    'numpy.datetime64("now")': "import numpy; now = float(numpy.datetime64('now').astype('int64'))",
    'numpy.datetime64("today")': "import numpy; now = float(numpy.datetime64('today').astype('int64')) * 86_400",
    "pydantic.PastDatetime": (
        "import datetime, pydantic; kind = pydantic.TypeAdapter(pydantic.PastDatetime); found = []\n"
        "for days in range(-2000, 2001):\n"
        "    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)\n"
        "    try:\n"
        "        kind.validate_python(at)\n"
        "    except pydantic.ValidationError:\n"
        "        break\n"
        "    found.append(at.timestamp())\n"
        "now = found[-1]"
    ),
}

HANDLER = """
    def main_handler(event, context):
        names = {}
        exec(event, names)
        return names["now"]
"""


def now_of(deploy, make_runtime, code: str, days: int) -> tuple[float, float]:
    """What *code* has for now, and the simulated time, in seconds since the epoch."""
    runtime = make_runtime(start=datetime.now(timezone.utc) + timedelta(days=days))
    now = deploy(HANDLER, to=runtime).run(code)
    return now, runtime.clock.now.timestamp()


@pytest.mark.parametrize("days", [400, -400], ids=["ahead", "behind"])
@pytest.mark.parametrize("asked", SIMULATED)
def test_simulated(deploy, make_runtime, asked: str, days: int) -> None:
    now, simulated = now_of(deploy, make_runtime, SIMULATED[asked], days)

    assert now == pytest.approx(simulated, abs=1)
    assert f"`{asked}`" in DOCS.read_text()


@pytest.mark.parametrize("days", [400, -400], ids=["ahead", "behind"])
@pytest.mark.parametrize("asked", MACHINES)
def test_the_machines(deploy, make_runtime, asked: str, days: int) -> None:
    now, _ = now_of(deploy, make_runtime, MACHINES[asked], days)

    assert abs(now - datetime.now(timezone.utc).timestamp()) < 2 * DAY
    assert f"`{asked}`" in DOCS.read_text()


def test_the_document_names_each_library_that_is_tested() -> None:
    text = DOCS.read_text()
    assert [name for name in uses.MODULES.values() if f"| {name} |" not in text.lower()] == []
