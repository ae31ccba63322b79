"""Write a report for each day and rename it to its final name; days that have a report are skipped.

The file is renamed while its content is in the buffer, so that a stop before it is closed leaves an empty report.
"""

import os
import time
from pathlib import Path


def write_report(path, day):
    temporary = path.with_suffix(".part")
    file = open(temporary, "w")  # noqa: SIM115
    file.write(f"report of day {day}\n")
    os.replace(temporary, path)  # window: graceful lost
    file.close()  # window: forced lost


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for day in range(event["days"]):
        path = out.joinpath(f"day-{day}.txt")
        if not path.exists():
            time.sleep(1)
            write_report(path, day)
    return {"days": event["days"]}
