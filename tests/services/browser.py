"""Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from deployments.definitions import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOTS = ROOT / ".cache" / "screenshots"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update",
)  # fmt: skip


@contextmanager
def chromium_page(height: int) -> "Iterator[Page]":
    """Open an empty page, 1280 pixels wide; screenshots go to SHOTS. Skips where there is no Chromium."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (package chromium)")
    from playwright.sync_api import sync_playwright

    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": height})
        page.set_default_timeout(60_000)
        yield page
        browser.close()
