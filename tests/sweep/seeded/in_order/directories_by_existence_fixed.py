"""Make a home with an inbox for each customer.

All directories that are missing are made, whichever are there.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for number in range(event["customers"]):
        time.sleep(1)
        home = out / f"customer-{number}"
        os.makedirs(home / "inbox", exist_ok=True)
        (home / "inbox" / "welcome.new").write_text(f"customer {number}\n")
        os.replace(home / "inbox" / "welcome.new", home / "inbox" / "welcome")
    return {"customers": event["customers"]}
