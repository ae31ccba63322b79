"""``python -m pytest_scf_async conformance``: asks any SCF endpoint what the documents leave open.

It knows the official SDK and an endpoint, and nothing of the emulator: what it says of ours is what it would say of the
platform.
"""
