"""Trains a model, a simulated minute each epoch; after SIGTERM it ends, and goes on when it is started again."""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

stopping = False


def stop(signum: int, frame: object):
    global stopping
    stopping = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    checkpoint = given.out / "checkpoint.json"
    epoch, loss = json.loads(checkpoint.read_text()) if checkpoint.exists() else (0, 1.0)
    signal.signal(signal.SIGTERM, stop)
    while epoch < given.epochs:
        if stopping:
            sys.exit(0)
        time.sleep(60)
        epoch, loss = epoch + 1, loss / 2
        checkpoint.write_text(json.dumps([epoch, loss]))
        print(f"epoch {epoch} is done")
    given.out.joinpath("model.json").write_text(json.dumps({"loss": loss}))


if __name__ == "__main__":
    main()
