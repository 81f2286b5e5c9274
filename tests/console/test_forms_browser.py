"""Forms in Debian's Chromium: they show how things are, are done when they are done, and ask for approval where it was asked for.

The viewer sits in Kolkata, so that a moment in a wrong zone is seen. The screenshots lie in `.cache/screenshots/forms-*.png`.
"""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest

from catalog import open_catalog
from catalog.records import Account, Image, Leftover
from tests.flows.managed import blank, placed, register
from tests.services.browser import SHOTS, chromium_page
from tests.services.serving import Serving
from tests.services.signed import basic

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console")]
ZONE = "Asia/Kolkata"
START_MS = 180_000
"""A run starts in seconds; on a machine that does much else, in a minute or two."""
NOON = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def home_of_the_server(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what this process puts into the catalog be what the server shows."""
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(served.home))


@pytest.fixture(scope="module")
def page(served: Serving) -> "Iterator[Page]":
    with chromium_page(1000, ZONE, served.auth) as page:
        yield page


def shot(page: "Page", name: str) -> None:
    page.screenshot(path=SHOTS / f"forms-{name}.png")


def opened(served: Serving, page: "Page", name: str, action: str, tab: str = "images") -> None:
    """Open the form of an action on a row."""
    page.goto(f"{served.console}/?tab={tab}")
    page.get_by_text(f"Actions on {name}", exact=True).click()
    page.get_by_role("button", name=action, exact=True).click()
    page.locator("dialog .main").wait_for()


def sent(page: "Page", said: str = "Completed") -> None:
    page.locator("dialog .main").click()
    page.locator("dialog .told", has_text=said).wait_for()


def now(image: Image) -> Image:
    with open_catalog() as catalog:
        return catalog.image(image.id)


def test_an_edit_shows_how_it_is_and_an_emptied_field_is_emptied(served: Serving, page: "Page") -> None:
    image = placed(name="edited", description="as it was", family="debian", expires_at=NOON)
    opened(served, page, "edited", "Edit image")
    held = {name: page.locator(f"#f-{name}").input_value() for name in ("name", "description", "family")}
    assert held == {"name": "edited", "description": "as it was", "family": "debian"}
    assert page.get_by_label("Expires (GMT+5:30)").input_value() == "2030-06-01T17:30"
    assert page.locator("#f-protected").input_value() == "false"
    assert not page.get_by_text("What is emptied").is_visible()
    shot(page, "edit")
    sent(page, "Nothing is changed")
    page.locator("#f-description").fill("")
    page.get_by_label("Expires (GMT+5:30)").fill("2031-01-01T05:30")
    sent(page)
    after = now(image)
    assert (after.description, after.expires_at) == ("", datetime(2031, 1, 1, tzinfo=UTC))
    assert (after.name, after.family, after.protected) == ("edited", "debian", False)
    shot(page, "edited")
    assert not page.locator("dialog .main").is_visible()
    assert page.locator("#f-name").is_disabled()


def test_a_quota_is_set_and_one_that_is_emptied_is_the_systems_again(served: Serving, page: "Page") -> None:
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_account(Account(name="shop", quota_images=4, projects=("web",), created_at=NOON))
    page.goto(f"{served.console}/access")
    line = page.locator("[data-row='account shop']")
    line.get_by_role("button").click()
    page.locator("dialog .main").wait_for()
    assert (page.locator("#f-quota_images").input_value(), page.locator("#f-projects").input_value()) == ("4", "web")
    page.locator("#f-quota_images").fill("")
    page.locator("#f-quota_bytes").fill("4096")
    shot(page, "quota")
    sent(page)
    with open_catalog() as catalog:
        after = catalog.account("shop")
    assert (after.quota_images, after.quota_bytes, after.projects) == (None, 4096, ("web",))
    page.keyboard.press("Escape")
    line.get_by_text("of 4 KiB").wait_for()


def test_sharing_shows_who_is_there_and_keeps_them(served: Serving, page: "Page") -> None:
    image = placed(name="shared", sharing_mode="specified", shared_accounts=("bob", "carl"), shared_projects=("p",))
    opened(served, page, "shared", "Set sharing mode")
    assert page.locator("#f-mode").input_value() == "specified"
    assert (page.locator("#f-accounts").input_value(), page.locator("#f-projects").input_value()) == (
        "bob carl",
        "p",
    )
    shot(page, "sharing")
    page.locator("#f-accounts").fill("bob carl dora")
    sent(page)
    after = now(image)
    assert (after.shared_accounts, after.shared_projects) == (("bob", "carl", "dora"), ("p",))
    opened(served, page, "shared", "Set sharing mode")
    page.locator("#f-mode").select_option("global")
    assert not page.locator("#f-accounts").is_visible()
    sent(page)
    assert (now(image).sharing_mode, now(image).shared_accounts) == ("global", ())


def test_an_add_is_done_once_and_a_bad_address_is_said_in_the_form(served: Serving, page: "Page") -> None:
    source = served.home / "small.raw"
    source.write_bytes(bytes(1 << 20))
    page.goto(f"{served.console}/?tab=images")
    page.get_by_role("button", name="Add volume image").click()
    page.get_by_label("Name *").fill("only once")
    page.get_by_label("Image Format").select_option("raw")
    for address in ("foo://bar", "nothing", "gopher://x/y"):
        page.get_by_label("Image Path *").fill(address)
        page.locator("dialog .main").click()
        page.locator("dialog .told.bad").wait_for()
        page.locator("dialog .main:enabled").wait_for()
    shot(page, "bad-address")
    with open_catalog() as catalog:
        assert list(catalog.images(name_pattern="only once")) == []
    page.get_by_label("Image Path *").fill("http://10.0.0.1/refused")
    page.locator("dialog .main").click()
    page.locator("dialog .told.bad", has_text="Failed").wait_for()
    assert page.locator("dialog .main").is_enabled()  # what failed may be corrected and sent again


def test_moments_are_the_viewers_with_their_zone_and_utc_on_hover(served: Serving, page: "Page") -> None:
    image = placed(name="dated", created_at=NOON)
    with page.expect_response("**/table*"):  # a stream begins: the page may be older
        page.goto(f"{served.console}/?tab=images")
    moment = page.locator("tr", has_text="dated").locator("time")
    assert (moment.inner_text(), moment.get_attribute("title")) == (
        "2030-06-01 17:30 GMT+5:30",
        "2030-06-01 12:00 UTC",
    )
    assert moment.get_attribute("datetime") == NOON.isoformat().replace("+00:00", "Z")
    with page.expect_response("**/table*"), open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(image.model_copy(update={"description": "changed by somebody else"}))
    assert "GMT+5:30" in page.locator("tr", has_text="dated").inner_text()
    page.goto(f"{served.console}/images/{image.id}")
    assert " UTC" not in page.locator("main").inner_text()
    page.screenshot(path=SHOTS / "forms-image.png", full_page=True)


def test_a_deprecated_image_and_one_export_of_two(served: Serving, page: "Page") -> None:
    new = placed(name="debian-13")
    old = placed(name="debian-12", deprecated=True, replaced_by=new.id)
    page.goto(f"{served.console}/?name=debian-*")
    page.get_by_text("use debian-13").wait_for()
    shot(page, "deprecated")
    for image_format in ("raw", "qcow2"):
        opened(served, page, "debian-12", "Export image")
        page.get_by_label("Image Format").select_option(image_format)
        sent(page)
    opened(served, page, "debian-12-v1.qcow2", "Delete exported image", "exports")
    assert page.get_by_label("Image Format").input_value() == "qcow2"
    page.locator("dialog .main").click()
    page.locator("#f-sure").fill("debian-12-v1.qcow2")
    page.locator("dialog .danger").click()
    page.locator("dialog .told", has_text="Completed").wait_for()
    page.goto(f"{served.console}/?tab=exports")
    shot(page, "one-export-left")
    with open_catalog() as catalog:
        assert [export.format for export in catalog.exports(old.id)] == ["raw"]
    page.locator("tr", has_text="debian-12-v1.raw").get_by_role("button", name="Link").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download").click()
    assert started.value.suggested_filename == "debian-12-v1.raw"


def leave_behind(served: Serving, count: int) -> None:
    """Put images on a second storage whose raw data is still on the first."""
    register("second", served.home / "second")
    for number in range(count):
        image = placed(name=f"moved {number}", storages=("default", "second"))
        with open_catalog() as catalog, catalog.changing(actor="admin") as change:
            replica = change.replica(image.id, "default")
            change.remove_replica(image.id, "default")
            change.save_leftover(
                Leftover(
                    id=blank().id, image_id=image.id, image_storage="default", location=replica.location,
                    size_bytes=replica.size_bytes, moved_to="second", created_at=replica.created_at,
                )
            )  # fmt: skip


def waiting(served: Serving) -> str:
    """Return the run that waits for approval."""
    deadline = time.monotonic() + 60
    while not (
        found := re.findall(r'data-answer="([^"]+)"', table(served))
    ):  # the page waits for Prefect for a moment only
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return str(found[0])


def table(served: Serving) -> str:
    return httpx.get(f"{served.console}/table?tab=leftovers", headers=basic(served.auth)).text


def test_a_clean_up_is_approved_where_it_was_asked_for(served: Serving, page: "Page") -> None:
    leave_behind(served, 2)
    opened(served, page, "moved 1", "Clean up leftovers", "leftovers")
    page.locator("#f-leftover_ids").evaluate("input => input.value = ''")  # all of the storage
    page.locator("dialog .main").click()
    page.locator("dialog", has_text="How many are listed?").wait_for(timeout=START_MS)
    listed = page.locator("dialog .plan").inner_text()
    assert ("moved 0 (" in listed, "moved 1 (" in listed) == (True, True)
    assert re.search(r"manifests/[0-9a-f-]{36} on default", listed)
    page.get_by_label("How many are listed?").fill("3")
    assert page.locator("dialog .danger").is_disabled()
    shot(page, "approval")
    page.get_by_role("button", name="Later").click()
    page.locator("dialog .told", has_text="the tab Leftovers asks again").wait_for()
    page.get_by_role("button", name="Close").click()
    run, ours = waiting(served), {"X-Imagewright": "1"} | basic(served.auth)
    wrong = httpx.post(
        f"{served.console}/api/runs/{run}/answer",
        json={"decision": "approve", "typed_count": 3},
        headers=ours,
    )
    assert (wrong.status_code, "2 are listed; nothing is deleted" in wrong.text) == (422, True)
    forged = httpx.post(
        f"{served.console}/api/runs/{run}/answer",
        json={"decision": "approve", "typed_count": 2},
        headers=basic(served.auth),
    )
    assert forged.status_code == 403  # as another page would send it
    page.goto(f"{served.console}/?tab=leftovers")
    page.get_by_text("A clean-up waits for approval; leftovers listed: 2.").wait_for()
    shot(page, "waiting")
    page.get_by_role("button", name="Look and answer").click()
    page.get_by_label("How many are listed?").fill("2")
    page.locator("dialog .danger").click()
    page.locator("dialog .told", has_text="Completed").wait_for(timeout=START_MS)
    with open_catalog() as catalog:
        assert list(catalog.leftovers()) == []
    again = httpx.post(f"{served.console}/api/runs/{run}/answer", json={"decision": "reject"}, headers=ours)
    assert (again.status_code, "answered already" in again.text) == (409, True)
