import signal
import time


def main_handler(event: dict[str, int], context: dict[str, str]):
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, frame: stop.append(signum))
    for row in range(1, event["rows"] + 1):
        time.sleep(10)
        print(f"row {row}")
        if stop:
            print(f"stopped after row {row}")
            return {"rows": row}
    return {"rows": event["rows"]}
