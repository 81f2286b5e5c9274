"""A person and the console in Debian's Chromium: add a file of their computer, export it, download it, delete and recover it.

The screenshots lie in `.cache/screenshots/console-*.png`: look at them when a page changes.
"""

import hashlib
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.services.browser import SHOTS, chromium_page
from tests.services.serving import Serving, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console")]
CONTENT = random.Random(3).randbytes(5 << 20)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("console-browser")) as running:
        yield running


@pytest.fixture(scope="module")
def page() -> "Iterator[Page]":
    with chromium_page(900) as page:
        yield page


def shot(page: "Page", name: str) -> None:
    page.screenshot(path=SHOTS / f"console-{name}.png")


def act(page: "Page", action: str, name: str = "by hand") -> None:
    """Open a row's menu and choose an action, in the dialog press the button of the same name, wait until it is done."""
    page.get_by_text(f"Actions on {name}").click()
    page.get_by_role("button", name=action, exact=True).click()
    page.locator("dialog .main").click()
    page.locator("dialog .told", has_text="Completed").wait_for()
    page.get_by_role("button", name="Close").click()


def add_a_file_of_this_computer(served: Serving, page: "Page", tmp_path: Path) -> None:
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    file = tmp_path / "hand <b>made.raw"
    file.write_bytes(CONTENT)
    page.goto(served.console)
    shot(page, "empty")
    page.get_by_role("button", name="Add volume image").click()
    page.get_by_label("Name *").fill("by hand")
    page.get_by_label("Image Format").select_option("raw")
    page.get_by_label("or a file of this computer").set_input_files(file)
    shot(page, "form")
    page.locator("dialog .main").click()
    page.locator("dialog .told", has_text="Sent.").wait_for()
    page.get_by_role("button", name="Close").click()
    page.locator(".status.ready").wait_for()
    shot(page, "ready")
    page.get_by_role("link", name="by hand").click()
    assert hashlib.sha256(CONTENT).hexdigest() in page.content()
    page.screenshot(path=SHOTS / "console-image.png", full_page=True)
    assert troubles == []


def ask_for_what_is_impossible(served: Serving, page: "Page") -> None:
    page.goto(served.console)
    page.get_by_role("button", name="Add system image").click()
    page.get_by_label("Name *").fill("nowhere")
    page.get_by_label("Image Path *").fill("gopher://x/y")
    page.get_by_role("button", name="Plan").click()
    page.locator("dialog .told.bad", has_text="gopher").wait_for()
    shot(page, "refused")
    page.get_by_role("button", name="Close").click()


def export_and_download(served: Serving, page: "Page") -> None:
    page.goto(served.console)
    act(page, "Export image")
    page.goto(f"{served.console}/?tab=exports")
    page.get_by_role("button", name="Link").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download").click()
    assert Path(started.value.path()).read_bytes() == CONTENT
    shot(page, "exported")


def delete_and_recover(served: Serving, page: "Page") -> None:
    page.goto(served.console)
    act(page, "Delete image")
    page.locator("p.empty").wait_for()
    page.goto(f"{served.console}/?tab=bin")
    shot(page, "bin")
    act(page, "Recover image")
    page.goto(served.console)
    page.locator(".status.ready").wait_for()
    for tab in re.findall(r"/\?tab=(\w+)", page.content()):
        page.goto(f"{served.console}/?tab={tab}")
        assert page.locator("main").inner_text()
        shot(page, f"tab-{tab}")


def test_a_person_and_the_console(served: Serving, page: "Page", tmp_path: Path) -> None:
    add_a_file_of_this_computer(served, page, tmp_path)
    ask_for_what_is_impossible(served, page)
    export_and_download(served, page)
    delete_and_recover(served, page)
