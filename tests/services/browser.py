"""Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from deployments.definitions import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE_MS = 180_000
"""As long as a machine that does much else may take for a run, or to start a program."""
SHOTS = ROOT / ".cache" / "screenshots"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update",
)  # fmt: skip


@contextmanager
def chromium_page(height: int, timezone: str = "UTC", auth: str = "") -> "Iterator[Page]":
    """Open an empty page, 1280 pixels wide, of a viewer in a time zone; screenshots go to SHOTS. Skips where there is no Chromium.

    auth: `user:password` that the person types where a page asks for it.
    """
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (package chromium)")
    from playwright.sync_api import sync_playwright

    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        user, _, password = auth.partition(":")
        page = browser.new_page(
            viewport={"width": 1280, "height": height},
            timezone_id=timezone,
            http_credentials={"username": user, "password": password} if auth else None,
        )
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def sign_in(page: "Page", url: str, auth: str) -> None:
    """Type the password into Prefect's page, which asks once and keeps it."""
    page.goto(url)
    page.locator("input").fill(auth)
    page.get_by_role("button", name="Login").click()
    page.get_by_text("Dashboard").first.wait_for()
