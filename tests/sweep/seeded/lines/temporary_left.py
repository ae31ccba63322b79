"""Export rows, each under a temporary name that is renamed when the row is complete.

The name is new in each attempt, so that a stop before the rename leaves a file that nobody removes.
"""

import os
import tempfile
import time
from pathlib import Path


def main_handler(event, context):
    out = Path(os.environ["OUT"])
    for number in range(event["rows"]):
        time.sleep(1)
        file, temporary = tempfile.mkstemp(dir=out, suffix=".part")  # window: graceful left behind
        os.write(file, b"row\n")  # window: forced left behind; graceful left behind
        os.close(file)  # window: forced left behind; graceful left behind
        os.replace(temporary, out.joinpath(f"{number}.txt"))  # window: forced left behind; graceful left behind
        print(f"row {number} is exported")
    return {"rows": event["rows"]}
