"""Make a home with an inbox for each customer.

Where the home exists the inbox is taken to exist: a kill within os.makedirs leaves a home without one, for ever.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for number in range(event["customers"]):
        time.sleep(1)
        home = out / f"customer-{number}"
        if not home.exists():
            os.makedirs(home / "inbox")  # window: effect never finishes
        (home / "inbox" / "welcome.new").write_text(f"customer {number}\n")
        os.replace(home / "inbox" / "welcome.new", home / "inbox" / "welcome")
    return {"customers": event["customers"]}
