"""The Cloud API 3.0 endpoint: what a client sends becomes an operation of the runtime, and its answer an envelope."""
