"""``python -m pytest_scf_async``: a sweep or the endpoint outside pytest, questions to any other one, and traces."""

from __future__ import annotations

import sys

from .command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
