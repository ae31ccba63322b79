"""Opens a file, and returns how that ended."""


def main_handler(event, context):
    try:
        with open(event["path"], event["mode"]):
            return "opened"
    except OSError as error:
        return error.strerror
