"""axe-core (from npm, pinned) over a page that Playwright shows."""

import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.definitions import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

VERSION = "4.14.1"
KEPT = ROOT / ".cache" / "npm" / f"axe-core-{VERSION}"
FOUND = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).join(", ")}`)"""


def script() -> str:
    """Return axe-core, fetched by npm once. Skips where there is no npm."""
    place = KEPT / "package" / "axe.min.js"
    if not place.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed (package npm): axe-core comes from there")
        KEPT.mkdir(parents=True, exist_ok=True)
        subprocess.run([npm, "pack", f"axe-core@{VERSION}"], cwd=KEPT, check=True, capture_output=True, timeout=120)
        with tarfile.open(KEPT / f"axe-core-{VERSION}.tgz") as packed:
            packed.extractall(KEPT, filter="data")
    return Path(place).read_text()


def findings(page: "Page") -> list[str]:
    """Return what axe finds on the page as it is now: the rule and where."""
    page.evaluate(script())  # not as a script of the page: its policy allows none from elsewhere
    return list(page.evaluate(FOUND))
