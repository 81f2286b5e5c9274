"""Ctrl-C and cancellation that fall into a callback of the garbage collector are heard a moment later."""

import subprocess
import sys

import pytest

from deployments.definitions import ROOT

LOST = """
import os, signal, sys, time, weakref
from prefect.exceptions import TerminationSignal
from flows.interrupts import hear_again

def terminated(number, _frame):
    raise TerminationSignal(number)

class Gone:
    pass

def collected(_reference):
    signal.raise_signal(number)  # raises here, where Python ignores it

number = int(sys.argv[1])
signal.signal(signal.SIGTERM, terminated)
if sys.argv[2] == "heard":
    hear_again()
gone = Gone()
reference = weakref.ref(gone, collected)
del gone
time.sleep(float(sys.argv[3]))
print("nobody heard it")
"""


def said(number: int, what: str, wait_s: float) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", LOST, str(number), what, str(wait_s)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("number", "error"), [(2, "KeyboardInterrupt"), (15, "TerminationSignal")])
def test_a_signal_that_was_ignored_is_heard(number: int, error: str) -> None:
    code, out, errors = said(number, "heard", 100)
    assert (code != 0, out) == (True, "")
    assert errors.rstrip().splitlines()[-1].rpartition(".")[2].startswith(error)
    assert "Exception ignored" not in errors


def test_without_it_python_goes_on() -> None:
    code, out, errors = said(2, "lost", 0.2)
    assert (code, out) == (0, "nobody heard it\n")
    assert "Exception ignored in" in errors
