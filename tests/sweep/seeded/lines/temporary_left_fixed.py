"""Export rows, each under a temporary name that is renamed when the row is complete.

The name is the same in each attempt, so that the next one writes over what a stop has left.
"""

import os
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for number in range(event["rows"]):
        time.sleep(1)
        file = os.open(out.joinpath(f"{number}.part"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.write(file, b"row\n")
        os.close(file)
        os.replace(out.joinpath(f"{number}.part"), out.joinpath(f"{number}.txt"))
        print(f"row {number} is exported")
    return {"rows": event["rows"]}
