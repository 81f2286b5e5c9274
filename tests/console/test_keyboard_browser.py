"""The keyboard alone, in Debian's Chromium: an add, an export, a delete and a recover, and where the focus is in between."""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from catalog import open_catalog
from tests.console.keyboard import Keyboard
from tests.flows.managed import blank, placed, saved
from tests.services.browser import chromium, page_of
from tests.services.faulty_http import Faults, faulty_http
from tests.services.serving import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console"), pytest.mark.timeout(1200)]
RUN_MS = 240_000
"""A run starts in seconds; on a machine that does much else, in a minute or two."""
NAME = "by keys"


@pytest.fixture(autouse=True)
def home_of_the_server(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what this process reads be the catalog of the server."""
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(served.home))


@pytest.fixture(scope="module")
def chromium_here() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(served: Serving, chromium_here: "Browser") -> "Iterator[Page]":
    with page_of(chromium_here, 1000, auth=served.auth) as page:
        page.set_default_timeout(RUN_MS)
        yield page


def add(page: "Page", keys: Keyboard, url: str) -> None:
    keys.to("Add volume image")
    keys.press("Enter")
    page.locator("dialog .main").wait_for()
    keys.fill("Name *", NAME)
    keys.fill("Image Path *", url)
    keys.to("Image Format", "Shift+Tab")
    page.keyboard.type("raw")
    begun(page, keys, "Add volume image")
    assert keys.here == "Add volume image"


def begun(page: "Page", keys: Keyboard, action: str) -> None:
    """Press the button of the dialog, whose plan has been shown by then, wait until it is done, and close it by Enter."""
    page.locator("dialog .main:enabled").wait_for()
    keys.to(action)
    keys.press("Enter")
    page.locator("dialog .told", has_text="Completed").wait_for()
    assert keys.here == "Close"
    keys.press("Enter")
    page.locator("dialog").wait_for(state="hidden")


def act(page: "Page", keys: Keyboard, action: str) -> None:
    """Open the menu of the row, close it by Escape, open it again, choose."""
    menu = f"Actions on {NAME}"
    page.get_by_text(menu, exact=True).wait_for()
    keys.to(menu)
    keys.press("Enter")
    page.get_by_role("button", name=action, exact=True).wait_for()
    keys.press("Tab", "Escape")
    assert (keys.here, page.locator("#table details[open]").count()) == (menu, 0)
    keys.press("Enter")
    keys.to(action)
    keys.press("Enter")
    begun(page, keys, action)


def test_an_open_menu_offers_what_can_be_done_by_now(served: Serving, page: "Page") -> None:
    image, keys = saved(blank(name="on its way", status="Downloading")), Keyboard(page)
    page.goto(f"{served.console}/?tab=images")
    page.get_by_text("Actions on on its way", exact=True).wait_for()
    keys.to("Actions on on its way")
    keys.press("Enter", "Tab")
    assert page.get_by_role("button", name="Export image", exact=True).count() == 0
    before = keys.here
    placed(id=image.id, name=image.name, version=image.version)
    page.get_by_role("button", name="Export image", exact=True).wait_for()
    assert keys.here in (before, "Edit image")
    keys.to("Export image")
    keys.press("Enter")
    page.locator("dialog .main").wait_for()
    assert keys.here == "Export image"
    keys.press("Escape")
    page.locator("dialog").wait_for(state="hidden")
    assert keys.here == "Actions on on its way"


def test_the_keyboard_alone_adds_exports_deletes_and_recovers(served: Serving, page: "Page") -> None:
    content, keys = random.Random(11).randbytes(1 << 20), Keyboard(page)
    with faulty_http() as server:
        page.goto(f"{served.console}/?tab=images")
        add(page, keys, server.serve("/keys.raw", Faults(content=content)))
    act(page, keys, "Export image")
    assert keys.here == f"Actions on {NAME}"
    act(page, keys, "Delete image")
    page.locator("tr", has_text=NAME).wait_for(state="detached")
    assert keys.here.startswith("Actions on ") or keys.here == "Images"
    keys.to("Recycle bin", "Shift+Tab")
    keys.press("Enter")
    page.locator("h1", has_text="Recycle bin").wait_for()
    page.wait_for_load_state()  # the scripts of the new page are there: without them Escape closes no menu
    act(page, keys, "Recover image")
    with open_catalog() as catalog:
        (image,) = catalog.images(name_pattern=NAME)
        assert (image.status, [export.format for export in catalog.exports(image.id)]) == ("Ready", ["raw"])
