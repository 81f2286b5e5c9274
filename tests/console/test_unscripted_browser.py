"""Pages where no script runs, in Debian's Chromium: they show and find, and nothing can be pressed that does nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.pages.tabs import TABS
from tests.console.api.v1.people import AUTH
from tests.console.pages.filled import filled
from tests.console.served import served
from tests.services.browser import chromium, page_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PRESSED = "button, summary, input[type=file], input[type=checkbox], input[type=radio], [role=button]"
DEAD = """(all) => all.filter((one) => {
  if (!one.checkVisibility()) return false;
  if (one.matches("summary")) return !one.parentElement.querySelector(":scope > :not(summary, .menu)");
  return !(one.form && one.form.method === "get");
}).map((one) => one.outerHTML)"""
"""What is seen and neither asks for another page nor opens something to be read."""


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody_serves: None) -> Iterator[str]:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    with served() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def chromium_here() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(chromium_here: "Browser") -> "Iterator[Page]":
    with page_of(chromium_here, 900, auth=AUTH, scripts=False) as page:
        yield page


def test_without_scripts_nothing_is_offered_that_does_nothing(console: str, page: "Page") -> None:
    image = filled(2)
    dead: dict[str, list[str]] = {}
    for path in (
        "/",
        *(f"/?tab={tab}" for tab in TABS),
        f"/images/{image.id}",
        f"/images/{image.id}/disk",
        "/access",
        "/login",
    ):
        answer = page.goto(f"{console}{path}")
        assert answer is not None
        assert answer.ok, path
        dead[path] = page.locator(PRESSED).evaluate_all(DEAD)
    assert {path: some for path, some in dead.items() if some} == {}


def test_without_scripts_images_are_found_and_sorted(console: str, page: "Page") -> None:
    first = filled(3)
    page.goto(f"{console}/?tab=images")
    page.locator("noscript .banner").wait_for()
    page.get_by_role("link", name="Name", exact=True).click()
    names = page.locator("#table tbody th a")
    assert names.all_inner_texts() == ["image 0", "image 1", "image 2"]
    page.get_by_label("Words").fill(first.id)
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**q=*")
    assert names.all_inner_texts() == ["image 0"]
