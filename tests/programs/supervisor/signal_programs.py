"""Programs that do something with SIGTERM, each in a few languages."""

from __future__ import annotations

import textwrap

from image_support import program

WORKS = """
stopping = False

def on_sigterm(signum, frame):
    global stopping
    os.write(1, b"signal\\n")
    stopping = True

{setup}

def handle(event, request):
    rows = 0
    while not stopping and rows < 20:
        time.sleep(1)
        rows += 1
        print("row", rows, flush=True)
    return rows
"""
"""Does 20 rows, one a second, or as many as it has when SIGTERM comes."""

LISTENS = "signal.signal(signal.SIGTERM, on_sigterm)"


def works(setup: str = LISTENS, *, server: str = "HTTPServer") -> str:
    """A server in Python whose events are such work; *setup* is what it does with SIGTERM."""
    return program(WORKS.format(setup=textwrap.dedent(setup).strip()), server=server)


def in_c(body: str) -> str:
    """A handler of SIGTERM that the kernel calls itself, with that *body*: in a thread that waits it may be Python."""
    return (
        "import ctypes\n"
        "def on_signal(signum):\n"
        "    global stopping\n"
        f"{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"
        "kept = ctypes.CFUNCTYPE(None, ctypes.c_int)(on_signal)\n"
        "ctypes.CDLL(None).signal(int(signal.SIGTERM), kept)\n"
    )


NODE = """
let stopping = false
process.on('SIGTERM', () => { console.log('signal'); stopping = true })
require('http').createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    let rows = 0
    const next = () => {
      rows += 1
      console.log('row ' + rows)
      const again = () => stopping || rows === 20 ? response.end(String(rows)) : next()
      setTimeout(again, 1000)
    }
    setTimeout(next, 1000)
  })
}).listen(9000, '0.0.0.0')
"""

GO = """
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	var stopping atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		fmt.Fprintln(os.Stderr, "signal") // stdout has a lock, and the work may stand in it
		stopping.Store(true)
	}()
	http.HandleFunc("/event-invoke", func(answer http.ResponseWriter, request *http.Request) {
		rows := 0
		for !stopping.Load() && rows < 20 {
			time.Sleep(time.Second)
			rows++
			fmt.Println("row", rows)
		}
		fmt.Fprint(answer, rows)
	})
	http.ListenAndServe("0.0.0.0:9000", nil)
}
"""
