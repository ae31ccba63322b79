"""A handler whose module begins with what many begin with."""

import csv
import dataclasses
import pathlib
import tempfile
from urllib.parse import urlsplit


@dataclasses.dataclass
class Export:
    place: pathlib.Path
    name: str


def main_handler(event, context):
    return [csv.QUOTE_ALL, Export(pathlib.Path(tempfile.gettempdir()), urlsplit("cos://exports").netloc).name]
