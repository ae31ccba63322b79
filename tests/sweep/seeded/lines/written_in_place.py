"""Export pages of two rows and skip the pages that are already there.

A page has its name before it is complete, so that a stop while it is written leaves half a page, which counts as there.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for page in range(event["pages"]):
        path = out.joinpath(f"page-{page}.csv")
        if path.exists():
            print(f"page {page} is there")
            continue
        time.sleep(1)
        with open(path, "w") as file:  # window: graceful lost
            for row in range(2):  # window: forced lost; graceful lost
                file.write(f"{page},{row}\n")  # window: forced lost; graceful lost
            file.flush()  # window: forced lost
    return {"pages": event["pages"]}
