"""Export rows to a file, with a checkpoint that is written before the row."""

import json
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
    out = os.environ["OUT"]
    checkpoint = os.path.join(out, "checkpoint.json")
    position = 0
    if os.path.exists(checkpoint):
        with open(checkpoint) as file:
            position = json.load(file)["next"]
    for number in range(position, event["rows"]):
        with open(f"{checkpoint}.new", "w") as file:
            json.dump({"next": number + 1}, file)
        os.replace(f"{checkpoint}.new", checkpoint)
        with open(os.path.join(out, "rows.txt"), "a") as file:  # here: the row is lost
            file.write(f"row {number}\n")  # here, too
        time.sleep(1)
        if stop:
            return {"rows": number + 1}
    return {"rows": event["rows"]}
