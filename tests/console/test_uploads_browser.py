"""Files sent by Debian's Chromium: several at once, paused, the browser closed, and gone on with where each was."""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalog import open_catalog
from tests.services.browser import SHOTS, chromium_page
from tests.services.serving import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console"), pytest.mark.timeout(1200)]
RUN_MS = 240_000
MIB = 1 << 20
NAMES = ("sent-one", "sent-two", "sent-three")
SIZE = 6 * MIB


@pytest.fixture(autouse=True)
def home_of_the_server(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what this process reads be the catalog of the server."""
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(served.home))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for seed, name in enumerate(NAMES):
        (tmp_path / f"{name}.raw").write_bytes(random.Random(seed).randbytes(SIZE))
    return [tmp_path / f"{name}.raw" for name in NAMES]


@pytest.fixture
def page(served: Serving) -> "Iterator[Page]":
    with chromium_page(1000, auth=served.auth) as page:
        page.set_default_timeout(RUN_MS)
        yield page


def slowed(page: "Page", bytes_s: int) -> None:
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_s}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", conditions)


def job(name: str) -> str:
    """Return where the tray tells of an upload."""
    return f"#tray li:has(strong:text-is('Upload')):has-text('{name}')"


def kept(served: Serving) -> dict[str, tuple[str, int]]:
    """Return the id and the bytes kept of each unfinished upload, by its file's name."""
    places = [place.parent for place in (served.home / "uploads").glob("*-*/data")]
    told = {place: json.loads((place / "upload.json").read_text())["filename"] for place in places}
    return {name: (place.name, (place / "data").stat().st_size) for place, name in told.items()}


def begin(served: Serving, page: "Page", files: list[Path]) -> None:
    """Choose all in one form, over a slow connection."""
    page.goto(f"{served.console}/?tab=images")
    slowed(page, MIB)
    page.get_by_role("button", name="Add volume image").click()
    page.get_by_label("or a file of this computer").set_input_files(files)
    page.locator("dialog .main").click()
    page.locator("dialog").wait_for(state="hidden")
    page.locator("#tray > details > summary").click()


def pause(served: Serving, page: "Page", name: str) -> None:
    """Press Pause once more than the first piece was kept, which tells what a file is."""
    while kept(served).get(f"{name}.raw", ("", 0))[1] <= MIB:
        page.wait_for_timeout(50)
    place = page.locator(job(name))
    place.get_by_role("button", name="Pause").click()
    place.locator(".far", has_text="Paused").wait_for()


def go_on(page: "Page", name: str) -> None:
    place = page.locator(job(name))
    place.get_by_role("button", name="Go on").click()
    place.get_by_role("button", name="Pause").wait_for()


def offsets_of(page: "Page") -> dict[str, int]:
    """Return what becomes the place from which on each upload is sent, by its id."""
    found: dict[str, int] = {}

    def sent(request: "Request") -> None:
        if request.method == "PATCH":
            found.setdefault(request.url.rpartition("/")[2], int(request.headers["upload-offset"]))

    page.on("request", sent)
    return found


def test_several_files_go_on_where_they_were_after_the_browser_was_closed(
    served: Serving, page: "Page", files: list[Path]
) -> None:
    assert page.context.browser is not None
    user, _, password = served.auth.partition(":")
    first = page.context.browser.new_context(http_credentials={"username": user, "password": password}).new_page()
    begin(served, first, files)
    for name in NAMES:
        pause(served, first, name)
    first.screenshot(path=SHOTS / "uploads-paused.png")
    slowed(first, 16 << 10)
    go_on(first, NAMES[1])
    first.context.close()
    begun = {upload for upload, _ in kept(served).values()}
    offsets = offsets_of(page)
    page.goto(f"{served.console}/?tab=uploads")
    page.locator("[data-uploads]").set_input_files(files)
    for name in NAMES:
        page.locator(".toast, .said li", has_text=f"{name}: proven").first.wait_for(state="attached")
    assert offsets.keys() == begun
    assert all(MIB < offset < SIZE for offset in offsets.values()), offsets
    with open_catalog() as catalog:
        stored = {image.id: image for image in catalog.images(name_pattern="sent-*")}
    assert stored.keys() == begun
    digests = {image.name: image.sha256 for image in stored.values()}
    assert digests == {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
