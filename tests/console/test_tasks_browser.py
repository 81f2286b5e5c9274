"""What people do here, in Debian's Chromium, with the clicks counted, and what axe finds on the way.

The table of clicks is in `console/README.md`. The screenshots lie in `.cache/screenshots/tasks-*.png`.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalog import open_catalog
from catalog.records import Family, Image
from tests.console.hand import MOST, Hand, clicks_written
from tests.flows.managed import placed, register
from tests.services.axe import findings
from tests.services.browser import SHOTS, chromium_page
from tests.services.serving import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console"), pytest.mark.timeout(1200)]
RUN_MS = 240_000
"""A run starts in seconds; on a machine that does much else, in a minute or two."""


@pytest.fixture(autouse=True)
def home_of_the_server(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what this process puts into the catalog be what the server shows."""
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(served.home))


@pytest.fixture(scope="module")
def page(served: Serving) -> "Iterator[Page]":
    with chromium_page(1000, auth=served.auth) as page:
        page.set_default_timeout(RUN_MS)
        page.emulate_media(reduced_motion="reduce")  # axe would measure colours on their way
        yield page


def shot(page: "Page", name: str) -> None:
    page.screenshot(path=SHOTS / f"tasks-{name}.png")


@pytest.fixture
def hand(served: Serving, page: "Page") -> Hand:
    return Hand(served.console, page)


def images(pattern: str) -> list[Image]:
    with open_catalog() as catalog:
        return list(catalog.images(name_pattern=pattern))


def closed(page: "Page") -> None:
    """Wait until the dialog says that it is done, and close it."""
    page.locator("dialog .told", has_text="Completed").wait_for()
    page.keyboard.press("Escape")


def test_no_task_takes_more_than_six_clicks() -> None:
    written = clicks_written()
    assert {
        "add",
        "export three",
        "share",
        "clean up",
        "recover",
        "retry a failed",
        "find",
        "move",
        "roll back a family",
        "give a robot a token",
    } == set(written)
    assert max(written.values()) <= MOST


def test_add_a_file_that_is_dropped(hand: Hand, page: "Page", tmp_path: Path) -> None:
    file = tmp_path / "dropped.raw"
    file.write_bytes(random.Random(5).randbytes(3 << 20))
    hand.begin()
    hand.button("Add volume image")
    page.get_by_label("or a file of this computer").set_input_files(file)
    assert (page.locator("#f-name").input_value(), page.locator("#f-image_format").input_value()) == ("dropped", "raw")
    assert findings(page) == []
    hand.main()
    page.locator("dialog").wait_for(state="hidden")
    hand.ends("add", "is the same here and there")
    shot(page, "added")
    assert findings(page) == []


def test_export_three_share_and_take_back_what_was_deleted(hand: Hand, page: "Page") -> None:
    for number in range(3):
        placed(name=f"three {number}")
    hand.begin()
    for number in range(3):
        hand.click(page.get_by_label(f"Choose three {number}"))
    shot(page, "chosen")
    assert findings(page) == []
    hand.button("Export image")
    hand.main()
    hand.ends("export three", "Export image: three 0: done")
    for number in (1, 2):
        page.locator(".toast, .said li", has_text=f"Export image: three {number}: done").first.wait_for(
            state="attached"
        )
    with open_catalog() as catalog:
        assert (
            len(
                {
                    export.image_id
                    for export in catalog.exports()
                    if export.image_id in {i.id for i in images("three *")}
                }
            )
            == 3
        )
    share_and_recover(hand, page)


def share_and_recover(hand: Hand, page: "Page") -> None:
    hand.begin()
    hand.click(page.get_by_text("Actions on three 1", exact=True))
    hand.button("Set sharing mode")
    page.locator("#f-mode").select_option("global")
    hand.main()
    hand.ends("share", "Set sharing mode: three 1: done")
    assert [image.sharing_mode for image in images("three 1")] == ["global"]
    hand.begin()
    for number in range(3):
        page.get_by_label(f"Choose three {number}").click()
    page.get_by_role("toolbar").get_by_role("button", name="Delete image").click()
    page.locator(".preview output", has_text="three 1").wait_for()
    shot(page, "plan")
    assert findings(page) == []
    page.locator("dialog .main:enabled").click()
    closed(page)
    message = page.locator(".toast", has_text="Delete image: 3 images: done")
    hand.clicks = 0
    hand.click(message.get_by_role("button", name="Undo: Recover image"))
    hand.ends("recover", "Recover image: 3 images: done")
    assert {image.status for image in images("three *")} == {"Ready"}


def test_what_failed_is_done_again_and_the_bin_is_cleaned_up(hand: Hand, page: "Page") -> None:
    hand.begin()
    page.get_by_role("button", name="Add volume image").click()
    page.get_by_label("Name *").fill("will fail")
    page.get_by_label("Image Path *").fill("file:///srv/nothing.raw")
    page.locator("dialog .main").click()
    page.locator("dialog .told.bad", has_text="Failed").wait_for()
    page.keyboard.press("Escape")
    message = page.locator(".toast.bad", has_text="Add volume image: will fail")
    hand.clicks = 0
    hand.click(message.get_by_role("button", name="Retry"))
    hand.ends("retry a failed", "Add volume image: will fail")
    placed(name="to be binned", status="Deleted")
    hand.begin()
    hand.click(page.get_by_role("link", name="Recycle bin"))
    hand.click(page.get_by_text("Actions on to be binned", exact=True))
    hand.button("Expunge image")
    hand.main()
    page.locator("#f-sure").fill("to be binned")
    hand.click(page.locator("dialog .danger"))
    hand.ends("clean up", "Expunge image: done")


def test_an_image_is_found_and_moved(hand: Hand, page: "Page", tmp_path: Path) -> None:
    image = placed(name="violet anchor")
    register("away", tmp_path / "away")
    hand.begin()
    hand.click(page.get_by_label("Find images"))
    page.keyboard.type("ANCHOR viol")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=ANCHOR+viol*")
    page.locator("#table").get_by_role("link", name="violet anchor", exact=True).wait_for()
    assert page.locator("tr[data-row]").count() == 1
    assert hand.clicks == clicks_written()["find"] <= MOST
    hand.clicks = 0
    hand.click(page.get_by_text("Actions on violet anchor", exact=True))
    hand.button("Change image storage")
    page.locator("#f-target").select_option("away")
    page.locator(".preview output", has_text="away").wait_for()
    hand.main()
    hand.ends("move", "Change image storage: violet anchor: done")
    with open_catalog() as catalog:
        assert [replica.image_storage for replica in catalog.replicas(image.id)] == ["away"]


def a_family_of_two() -> list[Image]:
    """Promote two builds one after the other, with a third that waits; return all."""
    builds = [placed(name=f"os {n}", family="os", build_version=f"1.{n}", cpu_architecture="x86_64") for n in range(3)]
    now = builds[0].created_at
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_family(Family(name="os", hygiene="off", approval=True, created_at=now, updated_at=now))
        for image in builds[:2]:
            change.promote("os", change.image(image.id), "by hand")
    return builds


def test_a_family_goes_back(hand: Hand, page: "Page") -> None:
    first, second, third = a_family_of_two()
    hand.begin()
    hand.click(page.get_by_role("link", name="Families"))
    page.locator("tr[data-row='os/x86_64']").get_by_role("link", name="os 1").wait_for()
    page.locator("tr.build", has_text=third.name).get_by_text("Evidence").click()
    shot(page, "families")
    for width, scheme in ((390, "light"), (390, "dark"), (1280, "dark")):
        page.set_viewport_size({"width": width, "height": 1000})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        shot(page, f"families-{width}-{scheme}")
        assert findings(page) == []
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.emulate_media(color_scheme="light")
    page.locator("tr.build", has_text=third.name).get_by_text("Evidence").click()
    hand.click(page.get_by_text("Actions on os", exact=True))
    hand.button("Roll back family")
    hand.main()
    hand.ends("roll back a family", "Roll back family")
    with open_catalog() as catalog:
        assert (catalog.latest("os").id, second.id != first.id) == (first.id, True)
    page.keyboard.press("Escape")
    page.locator("tr[data-row='os/x86_64']").get_by_role("link", name="os 0").wait_for()


@pytest.mark.parametrize(
    "tab", ["images", "uploads", "exports", "bin", "leftovers", "storages", "primary", "volumes", "families"]
)
def test_axe_finds_nothing(served: Serving, page: "Page", tab: str) -> None:
    page.goto(f"{served.console}/?tab={tab}")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        assert findings(page) == []
    page.emulate_media(color_scheme="light")


def test_a_form_follows_what_is_chosen(served: Serving, page: "Page") -> None:
    page.goto(f"{served.console}/?tab=images")
    page.get_by_role("button", name="Add system image").click()
    page.get_by_label("Name *").fill("kept")
    page.get_by_label("CPU Architecture").select_option("aarch64")
    page.locator("#d-bios_mode .note", has_text="always boots in UEFI mode").wait_for()
    assert page.locator("#f-bios_mode option").all_inner_texts() == ["UEFI"]
    assert not page.locator("#f-enable_csm").is_visible()
    page.get_by_label("CPU Architecture").select_option("x86_64")
    page.locator("#f-bios_mode option[value=Legacy]").wait_for(state="attached")
    page.get_by_label("BIOS Mode").select_option("UEFI")
    page.get_by_label("OS", exact=True).fill("Windows 7")
    page.locator("#d-enable_csm .note", has_text="Windows 7 needs it").wait_for()
    page.get_by_text("Which operating systems boot in UEFI mode?").click()
    page.get_by_text("A virtual machine of Windows stops in the UEFI shell?").click()
    assert "BOOTX64.EFI" in page.locator("dialog .help pre").inner_text()
    shot(page, "form")
    assert findings(page) == []
    page.locator("[data-kind-of][value=add_volume_image]").check()
    page.locator("dialog h2", has_text="Add volume image").wait_for()
    assert (page.locator("#f-name").input_value(), page.locator("#f-bios_mode").count()) == ("kept", 0)
    page.keyboard.press("Escape")


def test_a_row_that_changes_says_so(served: Serving, page: "Page") -> None:
    image = placed(name="watched")
    with page.expect_response("**/table*"):  # a stream begins: the page may be older
        page.goto(f"{served.console}/?tab=images")
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(change.image(image.id).model_copy(update={"name": "watched and renamed"}))
    page.locator("tr.changed", has_text="changed just now").wait_for()
    assert page.locator("tr.changed").count() == 1
    assert "watched and renamed" in page.locator("#aloud").inner_text()
    shot(page, "changed")
    assert findings(page) == []
    with page.expect_response(lambda answer: answer.url.endswith(image.id) and answer.request.resource_type == "fetch"):
        page.goto(f"{served.console}/images/{image.id}")
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(change.image(image.id).model_copy(update={"name": "renamed again"}))
    page.locator("main h1", has_text="renamed again").wait_for()
