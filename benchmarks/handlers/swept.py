"""Count rows; SIGTERM ends the loop."""

import os
import signal
import time

stop = False


def on_sigterm(signum, frame):
    global stop
    stop = True


def main_handler(event, context):
    global stop
    stop = False
    signal.signal(signal.SIGTERM, on_sigterm)
    for _ in range(event["rows"]):
        time.sleep(1)
        if stop:
            break
        len("row")
    with open(os.path.join(os.environ["OUT"], "done"), "w") as file:
        file.write("done")
    return "done"
