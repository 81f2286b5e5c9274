"""Another machine of somebody, with a home that holds nothing but a login: commands run there, as programs of their own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deployments.definitions import ROOT
from tests.services.proxy import Proxy


@dataclass
class Machine:
    """A machine: its home, and the way to the service, which can be cut. namespace: of the network it is in, if not ours."""

    home: Path
    url: str
    way: Proxy
    namespace: str = ""

    def start(self, *words: str, **more: str) -> "subprocess.Popen[str]":
        """Start a command."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "IMAGEWRIGHT_"))}
        named = {
            "IMAGEWRIGHT_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "IMAGEWRIGHT_RETRY_DELAY_S": "0.2",
            **more,
        }
        within = ("ip", "netns", "exec", self.namespace) if self.namespace else ()
        return subprocess.Popen(
            [*within, sys.executable, "-m", "flows.cli", *words], env={**kept, **named}, cwd=self.home, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def told(self, *words: str, given: str = "", within_s: float = 200, **more: str) -> tuple[int, str, str]:
        """Run a command; return its exit status, stdout and stderr."""
        process = self.start(*words, **more)
        out, err = process.communicate(given, timeout=within_s)
        return process.returncode, out, err

    def answer(self, *words: str, within_s: float = 200) -> dict[str, object]:
        """Return what a command that goes well answers."""
        status, out, err = self.told(*words, "--json", within_s=within_s)
        assert status == 0, err
        found: dict[str, object] = json.loads(out)
        return found
