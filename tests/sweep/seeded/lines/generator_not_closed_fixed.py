"""Read rows from an asynchronous generator, which writes what it has collected when it ends or is closed.

The consumer closes the generator, and saves the position behind that.
"""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


async def collected(out, position, rows):
    batch = []
    try:
        for number in range(position, rows):
            await asyncio.sleep(0)
            if stopping:
                break
            batch.append(number)
            yield number
    finally:
        for number in batch:
            out.joinpath(f"{number}.txt").write_text(f"row {number}\n")


async def export(out, source, position):
    async with contextlib.aclosing(source):
        async for number in source:
            position = number + 1
            if stopping:
                break
    out.joinpath("position.tmp").write_text(str(position))
    os.replace(out.joinpath("position.tmp"), out.joinpath("position"))
    return {"position": position}


def main_handler(event, context):
    global stopping
    stopping = False
    signal.signal(signal.SIGTERM, stop)
    out = Path(os.environ["OUT"])
    position = int(out.joinpath("position").read_text()) if out.joinpath("position").exists() else 0
    source = collected(out, position, event["rows"])
    loop = asyncio.new_event_loop()
    result = loop.run_until_complete(export(out, source, position))
    loop.close()
    return result
