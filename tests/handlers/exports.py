"""What test_endpoint_concurrency.py deploys: it imports nothing else, as hundreds of instances load it."""

import time


def main_handler(event, context):
    time.sleep(event["seconds"])
    return event["seconds"]
