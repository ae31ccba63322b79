"""Has its steps done by APScheduler, from a job store in SQLite; "again" adds all at each start."""

import sys
import time
from datetime import datetime
from pathlib import Path

import steps
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler

directory, options = Path(sys.argv[1]), sys.argv[2:]


def write(step: int) -> None:
    steps.write(str(directory), f"step-{step}.txt", f"step {step} " * 1000)


store = SQLAlchemyJobStore(url=f"sqlite:///{directory}/jobs.sqlite")
scheduler = BackgroundScheduler(jobstores={"default": store}, job_defaults={"misfire_grace_time": None}, timezone="UTC")
scheduler.start()
if "again" in options or not (directory / "added").exists():
    for step in range(3):
        when = datetime.fromtimestamp(time.time() + step)
        scheduler.add_job(write, "date", run_date=when, args=[step], id=f"step {step}", replace_existing=True)
    (directory / "added").touch()
while scheduler.get_jobs():
    time.sleep(1)
scheduler.shutdown()
