"""Debian's Chromium without windows, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from deployments.definitions import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MS = 180_000
"""As long as a machine that does much else may take for a run, or to start a program."""
SHOTS = ROOT / ".cache" / "screenshots"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update",
)  # fmt: skip


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Start Chromium, without windows where there is such a one: it takes half of the processor. Skips where there is none.

    For a module at most: what drives it has a loop in this thread meanwhile, and `asyncio.run` refuses to start another. Chromium alone
    could be left open and asked over a port: that takes more at each page than a start does.
    """
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed (package chromium-headless-shell)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def page_of(
    browser: "Browser", height: int, timezone: str = "UTC", auth: str = "", *, scripts: bool = True
) -> "Iterator[Page]":
    """Open an empty page, 1280 pixels wide, of a viewer in a time zone who shares nothing with others; screenshots go to SHOTS.

    auth: `user:password` that the person types where a page asks for it.
    """
    SHOTS.mkdir(parents=True, exist_ok=True)
    user, _, password = auth.partition(":")
    context = browser.new_context(
        viewport={"width": 1280, "height": height},
        timezone_id=timezone,
        http_credentials={"username": user, "password": password} if auth else None,
        java_script_enabled=scripts,
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@contextmanager
def chromium_page(height: int, timezone: str = "UTC", auth: str = "") -> "Iterator[Page]":
    """Open such a page in a Chromium of its own."""
    with chromium() as browser, page_of(browser, height, timezone, auth) as page:
        yield page


def sign_in(page: "Page", url: str, auth: str) -> None:
    """Type the password into Prefect's page, which asks once and keeps it."""
    page.goto(url)
    page.locator("input").fill(auth)
    page.get_by_role("button", name="Login").click()
    page.get_by_text("Dashboard").first.wait_for()
