"""Libraries that wait in C, or on threads of theirs, are not disturbed by a clock that is a year off the machine's."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from process_support import LONG

pytestmark = pytest.mark.once

SUPPORT = """
    import socket, time
    from concurrent.futures import ThreadPoolExecutor

    def librdkafka(port):
        '''A broker that never answers: flush() ends by its timeout, and the message is still there.'''
        import confluent_kafka
        producer = confluent_kafka.Producer({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
        producer.produce("exports", b"row")
        left = producer.flush(0.5)
        producer.purge()
        return left

    def grpc(port):
        import grpc
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/exports.Exports/Start")
            try:
                call(b"", timeout=0.5)
            except grpc.RpcError as error:
                return error.code().name
        raise AssertionError

    def grpc_server(port):
        '''A client and a server in one instance: the deadline that the server sees is what the client gave.'''
        import grpc
        def start(request, context):
            return b"%d" % context.time_remaining()
        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                return grpc.unary_unary_rpc_method_handler(start)
        server = grpc.server(ThreadPoolExecutor(1), handlers=[Handler()])
        own = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{own}") as channel:
            left = channel.unary_unary("/exports.Exports/Start")(b"", timeout=1000)
        server.stop(None).wait()
        return "its own" if 900 < int(left) <= 1000 else left.decode()

    def openblas(port):
        import numpy
        square = numpy.ones((700, 700))
        for _ in range(10):
            assert (square @ square)[0, 0] == 700
        with ThreadPoolExecutor(2) as pool:
            return int(sum(pool.map(lambda _: (square @ square)[0, 0], range(4))))

    def arrow(port):
        import pyarrow, pyarrow.compute
        table = pyarrow.table({"key": [n % 10 for n in range(200_000)], "value": list(range(200_000))})
        total = 0
        for _ in range(5):
            grouped = table.group_by("key", use_threads=True).aggregate([("value", "sum")])
            total += pyarrow.compute.sum(grouped["value_sum"]).as_py()
        return total

    def polars(port):
        import polars
        frame = polars.DataFrame({"key": [n % 10 for n in range(200_000)], "value": list(range(200_000))})
        return frame.group_by("key").agg(polars.col("value").sum())["value"].sum()

    def main_handler(event, context):
        name, port = event
        return globals()[name](port)
"""

ANSWERS: dict[str, Any] = {
    "librdkafka": 1,
    "grpc": "DEADLINE_EXCEEDED",
    "grpc_server": "its own",
    "openblas": 4 * 700,
    "arrow": 5 * 199_999 * 100_000,
    "polars": 199_999 * 100_000,
}
LASTS_HALF_A_SECOND = {"librdkafka", "grpc"}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port on which connections are made, and nothing is answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("days", [366, -366], ids=["a year ahead", "a year behind"])
@pytest.mark.parametrize("name", ANSWERS)
def test_it_waits_for_its_real_time_and_answers(deploy, make_runtime, silent_port: int, name: str, days: int) -> None:
    runtime = make_runtime(start=datetime.now(timezone.utc) + timedelta(days=days))
    function = deploy(SUPPORT, to=runtime, timeout=600)

    began = time.monotonic()
    answer = function.run([name, silent_port])
    lasted = time.monotonic() - began

    assert answer == ANSWERS[name]
    assert lasted < LONG
    if name in LASTS_HALF_A_SECOND:
        assert lasted > 0.49
