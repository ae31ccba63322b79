"""A backup that does not listen to SIGTERM: the signal ends its process in the middle of a part."""

import time


def main_handler(event: dict[str, int], context: dict[str, str]):
    for part in range(event["parts"]):
        print(f"part {part} begins")
        time.sleep(600)
    return event["parts"]
