"""A report that takes a second a page."""

import time


def main_handler(event: dict[str, int], context: dict[str, str]):
    for page in range(1, event["pages"] + 1):
        time.sleep(1)
        print(f"page {page}")
    return f"{event['pages']} pages, limit {context['time_limit_in_ms']} ms"
