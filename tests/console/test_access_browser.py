"""The page of access in Debian's Chromium: the tenth task with its clicks counted, and what axe finds on the way.

The screenshots lie in `.cache/screenshots/access-*.png`: look at them when the page changes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from catalog import open_catalog
from catalog.records import Account, Scope
from catalog.repository.identities import registering
from tests.catalog.samples import START
from tests.console.api.v1.people import PASSWORD, bearer
from tests.console.hand import Hand
from tests.console.served import served
from tests.services.axe import findings
from tests.services.browser import SHOTS, chromium_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("sign-in in a browser"), pytest.mark.timeout(600)]


@pytest.fixture
def console(home: Path, cheap_passwords: None, nobody_serves: None) -> Iterator[str]:
    with open_catalog() as catalog:
        registering.add(catalog, "admin", "root", "admin", role="admin", password=PASSWORD)
        registering.add(catalog, "admin", "vera", "team", role="viewer", projects=("web", "shop"), password=PASSWORD)
        registering.add(catalog, "admin", "backup", "team", role="user")
        for name in ("nightly builds", "old laptop"):
            made = registering.create_token(catalog, "admin", "root", "root", Scope(images=("ci-*",)), None, name)
        registering.revoke_token(catalog, "admin", made.id)
        registering.change(catalog, "admin", "backup", {"disabled": True})
        with catalog.changing("admin") as change:
            change.save_account(Account(name="team", quota_images=4, quota_bytes=1 << 40, created_at=START))
    with served() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page() -> "Iterator[Page]":
    with chromium_page(1000) as page:
        page.emulate_media(reduced_motion="reduce")  # axe would measure colours on their way
        yield page


def enter(page: "Page", console: str, name: str) -> None:
    page.goto(f"{console}/login?next=%2F%3Ftab%3Dimages")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Access").wait_for()


def looked_at(page: "Page", name: str) -> None:
    """Look at the page as it is: narrow and wide, light and dark."""
    for width in (390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 1000})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.screenshot(
                path=SHOTS / f"access-{name}-{width}-{scheme}.png", full_page=page.locator("dialog[open]").count() == 0
            )
            assert findings(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.emulate_media(color_scheme="light")


def test_a_robot_is_given_a_token_which_is_shown_once(page: "Page", console: str) -> None:
    enter(page, console, "root")
    hand = Hand(console, page)
    hand.begin()
    hand.click(page.get_by_role("link", name="Access"))
    page.get_by_role("heading", name="Persons and robots").wait_for()
    looked_at(page, "page")
    hand.button("Give a robot a token")
    page.get_by_label("Name of the robot").fill("ci")
    page.locator("#f-account").fill("team")
    looked_at(page, "robot")
    hand.main()
    secret = page.locator("#f-secret").input_value()
    assert httpx.get(f"{console}/api/v1/whoami", headers=bearer(secret)).json()["name"] == "ci"
    looked_at(page, "secret")
    hand.click(page.get_by_role("button", name="Copy", exact=True))
    page.locator("dialog .told", has_text="Copied").wait_for()
    hand.ends("give a robot a token", "Token of ci is made")
    page.keyboard.press("Escape")
    page.locator("[data-row=ci]").wait_for()
    kept = "JSON.stringify([sessionStorage, localStorage, history.state]) + location.href + document.documentElement.outerHTML"
    assert secret.split("_", 2)[2] not in page.evaluate(kept)
    assert page.evaluate("document.activeElement.id") == "give-robot"
    what_is_done_stays_where_the_keyboard_is(page, console, secret)


def what_is_done_stays_where_the_keyboard_is(page: "Page", console: str, secret: str) -> None:
    page.locator("[data-row=ci]").get_by_text("Tokens (1)").click()
    page.locator("[data-row=ci]").get_by_role("button", name="Revoke").click()
    assert findings(page) == []
    page.locator("dialog .danger").click()
    page.locator("[data-row=ci] .pill.bad", has_text="revoked").wait_for(state="attached")
    assert page.evaluate("document.activeElement.closest('[data-row]').dataset.row") == "ci"
    assert page.locator("#tokens-ci").get_attribute("open") is not None
    assert httpx.get(f"{console}/api/v1/whoami", headers=bearer(secret)).status_code == 401
    page.get_by_text("Actions on vera", exact=True).click()
    page.get_by_role("button", name="Change role or account").click()
    page.locator("#f-role").select_option("user")
    page.locator("dialog .main").click()
    page.locator("[data-row=vera]", has_text="user of team").wait_for()
    page.get_by_text("Actions on vera", exact=True).click()
    looked_at(page, "menu")
    page.keyboard.press("Escape")
    page.locator("[data-row='account team'] button").click()
    page.locator("#f-quota_images").wait_for()
    assert page.locator("#f-quota_images").input_value() == "4"
    page.keyboard.press("Escape")
    as_others_see_it(page, console)


def as_others_see_it(page: "Page", console: str) -> None:
    page.goto(f"{console}/look?language=zh-CN&next=%2Faccess")
    page.get_by_role("heading", name="用户与机器人").wait_for()
    looked_at(page, "zh")
    page.goto(f"{console}/look?language=en&next=%2Faccess")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Password").wait_for()
    enter(page, console, "vera")
    page.get_by_role("link", name="Access").click()
    page.get_by_role("heading", name="Your tokens").wait_for()
    looked_at(page, "own")
    assert page.get_by_text("root").count() == 0
    page.get_by_role("button", name="Make a token").click()
    page.locator("dialog[open]").wait_for()
    assert page.locator("#f-role option").all_inner_texts() == ["viewer", "user"]
    assert page.evaluate("document.activeElement.id") == "f-name"
    page.keyboard.type("laptop")
    page.keyboard.press("Enter")
    page.locator("#f-secret").wait_for()
    page.keyboard.press("Escape")
    page.locator("main strong", has_text="laptop").wait_for()
    assert page.evaluate("document.activeElement.id") == "own-token"
