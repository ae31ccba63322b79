"""An image of the standard library alone, whose handler returns at SIGTERM."""

import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        print("ready", flush=True)
        signal.sigwait([signal.SIGTERM])
        self.send_response(200)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b'"stopped"')

    def log_message(self, *words):
        pass


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
HTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
