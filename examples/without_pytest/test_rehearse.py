"""The script beside this file, run as a user runs it."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "rehearse.py"


def test_the_script_reports_what_is_left():
    process = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=60, check=False)

    assert process.stderr == ""
    assert process.returncode == 0
    *timeline, last = process.stdout.splitlines()
    assert last == "left undone: fox.png, elk.png"
    assert any("+5 s" in line and "SIGTERM sent: user code has a handler for it" in line for line in timeline)
    assert any("+6 s" in line and "FINISHED (200)" in line for line in timeline)
