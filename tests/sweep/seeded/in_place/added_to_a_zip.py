"""Add reports to a zip file, and go on with the reports that it lacks.

The directory of the zip is written over by the next report, so that a kill before it is there again leaves no zip file.
"""

import os
import time
import zipfile
from pathlib import Path


def names_in(path):
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def add(path, name):
    archive = zipfile.ZipFile(path, "a")
    archive.writestr(zipfile.ZipInfo(name), name)  # window: forced never finishes; effect never finishes
    archive.close()  # window: forced never finishes


def main_handler(event, context):
    path = Path(os.environ["OUT"], "reports.zip")
    for number in range(len(names_in(path)), event["reports"]):
        time.sleep(1)
        add(path, f"report-{number}")
    return {"reports": names_in(path)}
