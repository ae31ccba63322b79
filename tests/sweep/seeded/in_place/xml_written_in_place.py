"""Add orders to an XML file, and go on after the last one that it has.

ElementTree.write opens the file before it writes: a kill in between leaves an empty one, which nobody can parse.
"""

import os
import time
import xml.etree.ElementTree
from pathlib import Path


def main_handler(event, context):
    path = Path(os.environ["OUT"], "orders.xml")
    orders = xml.etree.ElementTree.ElementTree(xml.etree.ElementTree.Element("orders"))
    if path.exists():
        orders.parse(path)
    for number in range(len(orders.getroot()), event["orders"]):
        time.sleep(1)
        xml.etree.ElementTree.SubElement(orders.getroot(), "order", {"id": str(number)})
        orders.write(path)  # window: effect never finishes
    return {"orders": event["orders"]}
