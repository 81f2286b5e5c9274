"""A person adds an image in the Prefect UI, in Debian's Chromium, and keeps what they saw as screenshots.

The screenshots lie in `.cache/screenshots`: look at them when the forms or the report change.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.browser import SHOTS, chromium_page, sign_in
from tests.services.nginx import nginx
from tests.services.serving import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
SIZE = 12 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def page(served: Serving) -> "Iterator[Page]":
    with chromium_page(1400) as page:
        sign_in(page, served.url, served.auth)
        yield page


def deployment(served: Serving, name: str) -> dict[str, Any]:
    found = served.ask("deployments/filter", {"deployments": {"name": {"any_": [name]}}})
    assert isinstance(found, list)
    return dict(found[0])


def shoot(page: "Page", name: str) -> None:
    page.wait_for_timeout(1500)  # Prefect fades things in
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def test_the_add_form_reads_like_the_guides_page(served: Serving, page: "Page") -> None:
    page.goto(f"{served.url}/deployments/deployment/{deployment(served, 'add-system-image')['id']}/run")
    page.get_by_text("Support Elastic Baremetal Instance").wait_for()
    shoot(page, "add-system-image-form")
    text = page.inner_text("body")
    titles = ("Name", "Description", "Image Format", "CPU Architecture", "Platform", "OS", "VirtIO", "Image Storage",
              "Image Path", "BIOS Mode", "Enable CSM", "Support Elastic Baremetal Instance")  # fmt: skip
    places = [text.index(f"\n{title}", text.index("Parameters")) for title in titles]
    assert places == sorted(places)


def test_an_image_added_in_the_form_shows_progress_and_a_report(served: Serving, page: "Page", folder: Path) -> None:
    root = folder / "www"
    root.mkdir()
    data = os.urandom(SIZE)
    (root / "data.raw").write_bytes(data)
    with nginx(folder / "nginx", root, server="limit_rate 2m;") as server:
        page.goto(f"{served.url}/deployments/deployment/{deployment(served, 'add-volume-image')['id']}/run")
        page.get_by_text("Image Path").wait_for()
        page.wait_for_timeout(1500)
        inputs = page.locator("textarea")
        inputs.nth(0).fill("from the browser")
        inputs.nth(3).fill(f"{server.url}/data.raw")
        choose(page, "qcow2", "raw")
        shoot(page, "add-volume-image-filled")
        run = submitted(served, page)
        seen = watch_progress(served, page, run)
    report = artifact(served, run, "markdown")
    page.goto(f"{served.url}/artifacts/artifact/{report['id']}")
    page.get_by_text(hashlib.md5(data).hexdigest()).first.wait_for()
    shoot(page, "report")
    assert len(seen) >= 3, seen
    assert seen == sorted(seen)
    assert state(served, run) == "COMPLETED"


def choose(page: "Page", shown: str, wanted: str) -> None:
    page.locator(".p-select", has_text=shown).locator("button").first.focus()
    page.keyboard.press("ArrowDown")
    page.locator(".p-select-option", has_text=wanted).first.click()


def submitted(served: Serving, page: "Page") -> str:
    """Return the run that a press of the form's button made; one that came before the form was ready is done again."""
    button = page.get_by_role("button", name="Submit")
    button.click()
    for look in range(120):
        wanted = {"deployments": {"name": {"any_": ["add-volume-image"]}}}
        runs = served.ask("flow_runs/filter", {**wanted, "limit": 1, "sort": "EXPECTED_START_TIME_DESC"})
        assert isinstance(runs, list)
        if runs:
            return str(runs[0]["id"])
        page.wait_for_timeout(500)
        if look % 40 == 39 and button.is_visible():
            button.click()
    raise AssertionError("no run was submitted")


def watch_progress(served: Serving, page: "Page", run: str) -> list[float]:
    """Look at the run's page until it ends; return the different figures that its progress artifact showed."""
    page.goto(f"{served.url}/runs/flow-run/{run}")
    seen: list[float] = []
    for _ in range(240):
        for found in artifacts(served, run, "progress"):
            figure = float(json.loads(found["data"]) if isinstance(found["data"], str) else found["data"])
            if not seen or figure != seen[-1]:
                seen.append(figure)
                if 0 < figure < 100 and "/artifacts/" not in page.url:
                    page.goto(f"{served.url}/artifacts/artifact/{found['id']}")
                    shoot(page, "progress")
        if state(served, run) in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            page.goto(f"{served.url}/runs/flow-run/{run}")
            shoot(page, "run")
            return seen
        page.wait_for_timeout(250)
    raise AssertionError(f"the run did not end: {state(served, run)}")


def state(served: Serving, run: str) -> str:
    answer = served.ask(f"flow_runs/{run}")
    assert isinstance(answer, dict)
    return str(answer["state"]["type"])


def artifacts(served: Serving, run: str, kind: str) -> list[dict[str, Any]]:
    found = served.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}, "type": {"any_": [kind]}}})
    assert isinstance(found, list)
    return found


def artifact(served: Serving, run: str, kind: str) -> dict[str, Any]:
    return artifacts(served, run, kind)[0]
