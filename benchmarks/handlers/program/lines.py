"""A program that prints as many lines as it is asked for, and one more."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for _ in range(event["Count"]):
            os.write(1, b"a row of the program\n")
        os.write(1, b"done\n")
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"1")

    def log_message(self, *words):
        pass


HTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
