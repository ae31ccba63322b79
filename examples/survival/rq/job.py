"""Has its steps done by a worker of RQ, from a Redis server of its own; "again" enqueues all at each start."""

import subprocess
import sys
import time
from pathlib import Path

from redis import ConnectionError as NotYet
from redis import Redis
from rq import Queue, SimpleWorker

directory, when, options = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", "/tmp/redis", "--dir", directory, *options])
redis = Redis(unix_socket_path="/tmp/redis")
while True:
    try:
        if redis.ping():
            break
    except NotYet:
        time.sleep(0.1)
queue = Queue(connection=redis)
if when == "again" or not (directory / "enqueued").exists():
    queue.empty()
    for step in range(3):
        queue.enqueue("steps.write", str(directory), f"step-{step}.txt", f"step {step} " * 1000)
    (directory / "enqueued").touch()
SimpleWorker([queue], connection=redis).work(burst=True)
left = queue.count  # of which a stopped worker has done none
redis.shutdown()
sys.exit(server.wait() or left > 0)
