"""The suite is the same in the foreground and in the background of a shell."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IGNORING = f"""
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what it starts with &
sys.path.insert(0, {str(ROOT)!r})
import tests.conftest
print(subprocess.run(["grep", "SigIgn", "/proc/self/status"], capture_output=True, text=True).stdout)
"""


def test_programs_that_tests_start_can_be_interrupted() -> None:
    out = subprocess.run([sys.executable, "-c", IGNORING], check=True, capture_output=True, text=True).stdout
    assert not int(out.split()[1], 16) & 1 << 1  # bit of SIGINT
