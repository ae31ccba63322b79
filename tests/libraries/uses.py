"""One use of each library: it imports it, computes something, and reads its time, where it has one.

Each function gives what was computed, and what the library has for the present, in seconds since the epoch; None where
it reads no clock. The libraries are imported in the functions: a handler, ``preload`` and ``before_init`` call them.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from typing import Any

NAIVE = datetime.datetime(2020, 1, 1)
UTC = datetime.timezone.utc


def of_pandas() -> Any:
    import pandas

    frame = pandas.DataFrame({"at": [NAIVE, NAIVE + datetime.timedelta(days=1)], "value": [1, 2]})
    by_day = frame.set_index("at")["value"].resample("D").sum()
    now = datetime.datetime.now()
    assert pandas.DatetimeIndex([now])[0].to_pydatetime() == now
    assert isinstance(pandas.Timestamp(NAIVE), datetime.datetime)
    return [by_day.tolist(), str(frame["at"].max())], pandas.Timestamp.now(tz="UTC").timestamp()


def of_pyarrow() -> Any:
    import pyarrow
    import pyarrow.compute

    now = datetime.datetime.now()
    table = pyarrow.table({"at": pyarrow.array([NAIVE, now]), "value": [1, 2]})
    back = table.group_by("value").aggregate([("at", "max")]).to_pydict()["at_max"]  # on Arrow's threads
    assert back == [NAIVE, now]
    return [pyarrow.compute.sum(table["value"]).as_py(), str(table["at"].type)], back[1].replace(tzinfo=UTC).timestamp()


def of_polars() -> Any:
    import polars

    now = datetime.datetime.now()
    frame = polars.DataFrame({"at": [NAIVE, now], "group": ["a", "a"], "value": [1, 2]})
    summed = frame.lazy().group_by("group").agg(polars.col("value").sum(), polars.col("at").max()).collect()
    return summed["value"].to_list(), summed["at"][0].replace(tzinfo=UTC).timestamp()


def of_numpy() -> Any:
    import numpy

    square = numpy.arange(160_000, dtype=float).reshape(400, 400)
    product = square @ square  # on the threads of OpenBLAS
    at = numpy.datetime64(datetime.datetime.now(), "us")
    return [float(product[0, 0]), str(numpy.datetime64(NAIVE))], at.astype("int64") / 1e6


def of_scipy() -> Any:
    import numpy
    import scipy.linalg
    import scipy.optimize

    solved = scipy.linalg.solve(numpy.diag([1.0, 2.0, 4.0]), numpy.ones(3))
    root = scipy.optimize.brentq(lambda x: x * x - 4, 0, 10)
    return [solved.tolist(), round(root, 9)], None


def of_orjson() -> Any:
    import orjson

    now = datetime.datetime.now(UTC)
    text = orjson.dumps({"at": NAIVE, "day": datetime.date(2020, 1, 1), "now": now}).decode()
    said = orjson.loads(text)
    return [said["at"], said["day"]], datetime.datetime.fromisoformat(said["now"]).timestamp()


def of_msgpack() -> Any:
    import msgpack

    packed = msgpack.packb({"now": datetime.datetime.now(UTC)}, datetime=True)
    return type(packed).__name__, msgpack.unpackb(packed, timestamp=3)["now"].timestamp()


def of_pydantic() -> Any:
    import pydantic

    class Export(pydantic.BaseModel):
        at: datetime.datetime
        day: datetime.date = datetime.date(2020, 1, 1)

    export = Export(at=datetime.datetime.now(UTC))
    assert export.model_validate_json(export.model_dump_json()) == export
    return Export(at="2020-01-01T00:00:00").at.isoformat(), export.at.timestamp()


def of_sqlalchemy() -> Any:
    import sqlalchemy
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "rows"
        id = mapped_column(sqlalchemy.Integer, primary_key=True)
        at = mapped_column(sqlalchemy.DateTime, default=datetime.datetime.now)

    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Row(at=NAIVE), Row()])
        session.commit()
        found = [row.at for row in session.scalars(sqlalchemy.select(Row).order_by(Row.id))]
    engine.dispose()
    return found[0].isoformat(), found[1].replace(tzinfo=UTC).timestamp()


def of_fastapi() -> Any:
    import asyncio

    import fastapi

    app = fastapi.FastAPI()

    @app.get("/exports")
    async def exports(since: datetime.datetime, day: datetime.date | None = None) -> dict[str, datetime.datetime]:
        return {"since": since, "now": datetime.datetime.now(UTC)}

    body = asyncio.run(_get(app, "/exports", b"since=2020-01-01T00:00:00&day=2020-01-01"))
    return body["since"], datetime.datetime.fromisoformat(body["now"].replace("Z", "+00:00")).timestamp()


async def _get(app: Any, path: str, query: bytes) -> Any:
    import json

    sent: list[dict[str, Any]] = []
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query}
    scope |= {"headers": [], "http_version": "1.1", "scheme": "http", "server": ("test", 80), "client": ("test", 1)}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return json.loads(b"".join(message.get("body", b"") for message in sent))


def of_pendulum() -> Any:
    import pendulum

    made = pendulum.instance(NAIVE)
    return [made.isoformat(), str(made.timezone)], pendulum.now("UTC").timestamp()


def of_arrow() -> Any:
    import arrow

    return arrow.get(NAIVE).shift(days=1).isoformat(), arrow.utcnow().timestamp()


def of_oracledb() -> Any:
    import oracledb

    return oracledb.TimestampFromTicks(0).year in (1969, 1970), None


USES: dict[str, Callable[[], Any]] = {name: use for name, use in vars().items() if name.startswith("of_")}
MODULES = {name: name.removeprefix("of_") for name in USES}

EXPECTED: dict[str, Any] = {
    "of_pandas": [[1, 2], "2020-01-02 00:00:00"],
    "of_pyarrow": [3, "timestamp[us]"],
    "of_polars": [3],
    "of_numpy": [8501360000.0, "2020-01-01T00:00:00.000000"],
    "of_scipy": [[1.0, 0.5, 0.25], 2.0],
    "of_orjson": ["2020-01-01T00:00:00", "2020-01-01"],
    "of_msgpack": "bytes",
    "of_pydantic": "2020-01-01T00:00:00",
    "of_sqlalchemy": "2020-01-01T00:00:00",
    "of_fastapi": "2020-01-01T00:00:00",
    "of_pendulum": ["2020-01-01T00:00:00+00:00", "UTC"],
    "of_arrow": "2020-01-02T00:00:00+00:00",
    "of_oracledb": True,
}


def version_of(module: str) -> str:
    from importlib.metadata import version

    return version(module)


def run(use: str) -> Any:
    """Use the library, sleep, and use it again on a thread: what both gave, and the clock at each."""
    found: list[Any] = [[*USES[use](), time.time()]]
    time.sleep(3600)
    thread = threading.Thread(target=lambda: found.append([*USES[use](), time.time()]))
    thread.start()
    thread.join()
    return found
