"""A person and the console in Debian's Chromium: add a file of their computer, export it, download it, delete, recover and expunge it.

The screenshots lie in `.cache/screenshots/console-*.png`: look at them when a page changes.
"""

import hashlib
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
import pytest

from catalog import open_catalog
from tests.console.tus import creation, piece
from tests.services.browser import SHOTS, chromium_page
from tests.services.payload import payload
from tests.services.serving import Serving
from tests.services.signed import basic

if TYPE_CHECKING:
    from playwright.sync_api import Page

READY_MS = 240_000
"""A run of a server that has just begun waits for the scheduler, which makes the first runs of all schedules."""
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console"), pytest.mark.timeout(1200)]


@payload
def image_content() -> bytes:
    return random.Random(3).randbytes(5 << 20)


@pytest.fixture(autouse=True)
def home_of_the_server(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what this process puts into the catalog be what the server shows."""
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(served.home))


@pytest.fixture(scope="module")
def page(served: Serving) -> "Iterator[Page]":
    with chromium_page(900, auth=served.auth) as page:
        page.set_default_timeout(READY_MS)
        yield page


def listed(served: Serving, name: str, tab: str = "images") -> str:
    """Return the address of a list of what has this name: others use the home, too."""
    return f"{served.console}/?{urlencode({'tab': tab, 'name': name})}"


def shot(page: "Page", name: str) -> None:
    page.screenshot(path=SHOTS / f"console-{name}.png")


OPEN_MEANWHILE = """() => {
  const text = Response.prototype.text;
  Response.prototype.text = async function () {
    const html = await text.call(this);
    document.querySelector("#table details").open = true;
    document.body.dataset.answered = "yes";
    return html + "<p>something new</p>";
  };
}"""


def touch(description: str) -> None:
    """Have an entry of the log tell that an image changed, as anybody else's edit would."""
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        image = next(iter(catalog.images(name_pattern="by hand")))
        change.save_image(image.model_copy(update={"description": description}))


def open_a_menu_while_the_table_arrives(served: Serving, page: "Page") -> None:
    """What is renewed is not taken away under a hand: neither when nothing changed nor when a menu was opened meanwhile."""
    with page.expect_response("**/table*"):  # a stream begins: the page may be older
        page.goto(listed(served, "by hand"))
    row = page.locator("#table tbody tr").element_handle()
    with page.expect_response("**/table*"):
        touch("nothing that the list shows")
    page.evaluate(OPEN_MEANWHILE)
    touch("once more")
    page.locator("body[data-answered]").wait_for()
    page.locator("#table details[open]").wait_for()
    assert row is not None
    assert row.evaluate("row => row.isConnected")


def said(page: "Page", text: str) -> None:
    """Wait for a message, and put it away."""
    message = page.locator(".toast", has_text=text).first
    message.wait_for()
    message.get_by_role("button", name="Dismiss").click()


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
    file.write_bytes(image_content())
    page.goto(listed(served, "by hand"))
    shot(page, "empty")
    page.get_by_role("button", name="Add volume image").click()
    page.get_by_label("Name *").fill("by hand")
    page.get_by_label("Image Format").select_option("raw")
    page.get_by_label("or a file of this computer").set_input_files(file)
    shot(page, "form")
    page.locator("dialog .main").click()
    said(page, "sent.")
    page.locator(".status.ready").wait_for()
    shot(page, "ready")
    page.locator("#table").get_by_role("link", name="by hand").click()
    page.locator("main h1", has_text="by hand").wait_for()
    assert hashlib.sha256(image_content()).hexdigest() in page.content()
    page.screenshot(path=SHOTS / "console-image.png", full_page=True)
    assert troubles == []


def ask_for_what_is_impossible(served: Serving, page: "Page") -> None:
    page.goto(f"{served.console}/?tab=images")
    page.get_by_role("button", name="Add system image").click()
    page.get_by_label("Name *").fill("nowhere")
    page.get_by_label("Image Path *").fill("gopher://x/y")
    page.get_by_role("button", name="Plan").click()
    page.locator("dialog .told.bad", has_text="gopher").wait_for()
    shot(page, "refused")
    page.get_by_role("button", name="Close").click()


def export_and_download(served: Serving, page: "Page") -> None:
    page.goto(listed(served, "by hand"))
    act(page, "Export image")
    page.goto(f"{served.console}/?tab=exports")
    page.locator("tr", has_text=re.compile("by.hand")).get_by_role("button", name="Link").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download").click()
    assert Path(started.value.path()).read_bytes() == image_content()
    shot(page, "exported")


def sure(page: "Page", name: str) -> None:
    """Answer the second question, which takes nothing but the name."""
    page.locator("#f-sure").fill(name[:-1])
    assert page.locator("dialog .danger").is_disabled()
    page.locator("#f-sure").fill(name)
    shot(page, "sure")
    page.locator("dialog .danger").click()
    page.locator("dialog .told", has_text="Completed").wait_for()
    assert page.get_by_role("link", name="Run in the Prefect UI").get_attribute("href")
    page.get_by_role("button", name="Close").click()


def expunge(served: Serving, page: "Page") -> None:
    page.goto(listed(served, "by hand"))
    act(page, "Delete image")
    page.goto(listed(served, "by hand", "bin"))
    page.get_by_text("Actions on by hand").click()
    page.get_by_role("button", name="Expunge image", exact=True).click()
    page.locator("dialog .main").click()
    page.get_by_role("button", name="Back").click()
    page.locator("dialog .main").click()
    sure(page, "by hand")
    page.locator("p.empty").wait_for()


def go_on_with_an_upload(served: Serving, page: "Page", tmp_path: Path) -> None:
    with httpx.Client(base_url=served.console, headers=basic(served.auth), timeout=60) as client:
        place = client.post("/uploads", headers=creation(len(image_content()), name="cut off")).headers["Location"]
        client.patch(place, content=image_content()[: 2 << 20], headers=piece(0))
    for folder, content in {
        "other": image_content()[:100] + b"x" + image_content()[101:],
        "same": image_content(),
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.raw").write_bytes(content)
    page.goto(f"{served.console}/?tab=uploads")
    row = page.locator("tr", has_text="cut off")
    row.get_by_text("40 %").wait_for()
    row.locator("input[data-upload]").set_input_files(tmp_path / "other" / "a.raw")
    page.locator("dialog .told", has_text="other bytes from 0 on").wait_for()
    page.get_by_role("button", name="Close").click()
    row.locator("input[data-upload]").set_input_files(tmp_path / "same" / "a.raw")
    said(page, "sent.")
    page.goto(listed(served, "cut off"))
    page.locator(".status.ready").wait_for()


def sort_by_hand_and_by_keyboard(served: Serving, page: "Page") -> None:
    """Press a column's head: the table turns without leaving the page, and the keyboard stays where it was."""
    page.goto(f"{served.console}/?tab=storages")
    for way in ("ascending", "descending"):
        if way == "ascending":
            page.get_by_role("link", name="Kind", exact=True).click()
        else:
            page.keyboard.press("Enter")
        page.locator(f"th[aria-sort={way}]", has_text="Kind").wait_for()
        assert page.evaluate("document.activeElement.dataset.sort") == "Kind"
        assert "sort=" in page.url
        shot(page, f"sorted-{way}")
    page.keyboard.press("Enter")
    page.locator("th[aria-sort]").wait_for(state="detached")


@contextmanager
def nothing_is_kept(name: str) -> Iterator[None]:
    """Have what an account deletes be gone at once."""
    with open_catalog() as catalog:
        before = catalog.account(name)
    try:
        with open_catalog() as catalog, catalog.changing(actor="admin") as change:
            change.save_account(before.model_copy(update={"retention_policy": "direct"}))
        yield
    finally:
        with open_catalog() as catalog, catalog.changing(actor="admin") as change:
            change.save_account(before)


def disable_and_delete_for_good(served: Serving, page: "Page") -> None:
    """Under the retention policy `direct` a delete is the end: it asks again, and names what goes."""
    page.goto(listed(served, "cut off"))
    act(page, "Disable image", "cut off")
    page.locator("tr.off .badge", has_text="Disabled").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        shot(page, f"disabled-{scheme}")
    image_id = str(page.locator("#table").get_by_role("link", name="cut off").get_attribute("href")).rpartition("/")[2]
    with nothing_is_kept("admin"):
        page.get_by_text("Actions on cut off").click()
        page.get_by_role("button", name="Delete image", exact=True).click()
        page.locator("dialog .main").click()
        plan = page.locator("dialog .plan").inner_text()
        assert f"image cut off ({image_id[:8]}…); it is expunged at once" in plan
        page.emulate_media(color_scheme="light")
        sure(page, "cut off")
    page.locator("p.empty").wait_for()


def look_at_it_on_a_telephone(served: Serving, page: "Page") -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(f"{served.console}/?tab=images")
    shot(page, "narrow-list")
    page.get_by_role("button", name="Add volume image").click()
    page.locator("dialog .main").wait_for()
    for width in ("document.documentElement", "document.getElementById('dialog')"):
        assert page.evaluate(f"{width}.scrollWidth <= {width}.clientWidth"), width
    shot(page, "narrow")
    page.set_viewport_size({"width": 1280, "height": 900})


def delete_and_recover(served: Serving, page: "Page") -> None:
    page.goto(listed(served, "by hand"))
    act(page, "Delete image")
    page.locator("p.empty").wait_for()
    page.goto(listed(served, "by hand", "bin"))
    shot(page, "bin")
    act(page, "Recover image")
    page.goto(listed(served, "by hand"))
    page.locator(".status.ready").wait_for()
    for tab in re.findall(r"/\?tab=(\w+)", page.content()):
        page.goto(f"{served.console}/?tab={tab}")
        assert page.locator("main").inner_text()
        shot(page, f"tab-{tab}")


def test_a_person_and_the_console(served: Serving, page: "Page", tmp_path: Path) -> None:
    add_a_file_of_this_computer(served, page, tmp_path)
    open_a_menu_while_the_table_arrives(served, page)
    ask_for_what_is_impossible(served, page)
    export_and_download(served, page)
    delete_and_recover(served, page)
    expunge(served, page)
    go_on_with_an_upload(served, page, tmp_path)
    sort_by_hand_and_by_keyboard(served, page)
    look_at_it_on_a_telephone(served, page)
    disable_and_delete_for_good(served, page)


def test_a_wrong_format_is_said_at_once_and_corrected(served: Serving, page: "Page", tmp_path: Path) -> None:
    file = tmp_path / "wrong.raw"
    file.write_bytes(image_content())
    page.goto(f"{served.console}/?tab=images")
    page.get_by_role("button", name="Add volume image").click()
    page.get_by_label("Name *").fill("no qcow2")
    page.get_by_label("or a file of this computer").set_input_files(file)
    page.get_by_label("Image Format").select_option("qcow2")  # whatever its name says
    page.locator("dialog .main").click()
    page.locator(".toast.bad", has_text="what was sent is kept").wait_for()
    page.goto(f"{served.console}/?tab=uploads")
    page.locator("tr:has-text('no qcow2') + tr.trouble", has_text="raw").wait_for()
    shot(page, "refused-upload")
    page.get_by_text("Actions on no qcow2").click()
    page.get_by_role("button", name="Add volume image", exact=True).click()
    page.get_by_label("Image Format").select_option("raw")
    page.locator("dialog .main").click()
    page.locator("dialog .told", has_text="Continue with the same file").wait_for()
    page.get_by_role("button", name="Close").click()
    page.locator("tr", has_text="no qcow2").locator("input[data-upload]").set_input_files(file)
    said(page, "sent.")
    page.goto(f"{served.console}/?tab=images")
    page.locator("tr", has_text="no qcow2").locator(".status.ready").wait_for()


def test_an_add_that_failed_is_done_again_at_a_press(served: Serving, page: "Page") -> None:
    page.goto(f"{served.console}/?tab=images")
    page.get_by_role("button", name="Add volume image").click()
    page.get_by_label("Name *").fill("nobody has it")
    page.get_by_label("Image Path *").fill("file:///srv/nothing.raw")
    page.locator("dialog .main").click()
    page.locator("dialog .told.bad", has_text="Failed").wait_for()
    page.get_by_role("button", name="Close").click()
    said(page, "nobody has it")
    page.locator("tr", has_text="nobody has it").get_by_role("button", name="Retry").click()
    page.locator(".toast.bad", has_text="nobody has it").wait_for()
    shot(page, "retried")
