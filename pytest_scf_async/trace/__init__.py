"""The trace of a test: one HTML file with what its events and sweeps did, and the command that prints it.

Imported only where a trace is written or read. docs/trace.md describes the file's data, whose version is ``VERSION``.
"""
