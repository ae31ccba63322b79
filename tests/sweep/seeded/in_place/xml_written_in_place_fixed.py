"""Add orders to an XML file, and go on after the last one that it has.

The tree is written to a new file, which takes the place of the old one by a rename.
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
        orders.write(path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)
    return {"orders": event["orders"]}
