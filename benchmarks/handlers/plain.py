"""A handler that does nothing, in a module that is like others."""

import json
import os
import signal
import time

LIMIT = int(os.environ.get("LIMIT", "10"))


class Stop(Exception):
    pass


def stop(signum, frame):
    raise Stop(signal.Signals(signum).name)


def describe(event):
    return json.dumps({"event": event, "at": time.time()})


def main_handler(event, context):
    return LIMIT
