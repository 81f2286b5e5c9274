"""A person at a browser: signs in, sees what is theirs, signs out; at the console itself, or at a provider that is another site."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalog import open_catalog
from catalog.repository.identities import registering
from tests.console.api.v1.people import PASSWORD
from tests.console.served import served
from tests.services.browser import chromium_page
from tests.services.oidc import CLIENT_ID, provider

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("sign-in in a browser")]
ADA = {"sub": "1", "preferred_username": "ada", "groups": ["web"]}


@pytest.fixture(scope="module")
def page() -> "Iterator[Page]":
    with chromium_page(900) as found:
        yield found


@pytest.fixture
def console(
    home: Path, cheap_passwords: None, nobody_serves: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[str]:
    with open_catalog() as catalog:
        registering.add(catalog, "admin", "root", "admin", role="admin", password=PASSWORD)
        registering.add(catalog, "admin", "vera", "team", role="viewer", password=PASSWORD)
    with provider(tmp_path / "provider", ADA) as issuer:
        # by another name it is another site, as the browser has it
        settings = {
            "ISSUER": issuer.replace("127.0.0.1", "localhost"),
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": "s",
            "GROUPS": "web=team:user",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"IMAGEWRIGHT_OIDC_{name}", value)
        with served() as port:
            yield f"http://127.0.0.1:{port}"


@contextmanager
def without_modules(page: "Page") -> Iterator[None]:
    """Have the page's modules come only afterwards, as over a slow line."""
    held: list[Route] = []
    late = True

    def come(route: "Route") -> None:
        if late and "early.js" not in route.request.url:
            held.append(route)
        else:
            route.continue_()

    page.route("**/static/*.js", come)
    yield
    late = False
    for route in held:
        route.continue_()


def test_what_is_pressed_before_the_scripts_are_there_is_done_when_they_are(page: "Page", console: str) -> None:
    for language in ("en", "zh"):  # in Chinese the words are fetched besides
        page.context.clear_cookies()
        page.goto(f"{console}/look?language={language}&next=%2Flogin")
        with without_modules(page):
            page.goto(f"{console}/login?next=%2F%3Ftab%3Dimages", wait_until="commit")
            page.locator("#name").fill("root")
            page.locator("#password").fill(PASSWORD)
            page.locator("form .main").click()
            page.locator("[aria-busy=true]").wait_for()
            assert page.url == f"{console}/login?next=%2F%3Ftab%3Dimages"  # and no password
        page.locator("[data-flow=add_volume_image]").wait_for()
        page.unroute_all()
        with without_modules(page):
            page.goto(f"{console}/?tab=images", wait_until="commit")
            page.locator("[data-flow=add_system_image]").click()
            page.locator("[data-flow=add_volume_image]").click()
            page.locator("[data-flow=add_volume_image][aria-busy=true]").wait_for()
            assert page.locator("[aria-busy=true]").count() == 1
        page.locator("dialog[open] [data-run=add_volume_image]").wait_for()
        assert page.locator("[aria-busy=true]").count() == 0
        page.unroute_all()
    page.context.clear_cookies()


def test_with_a_password_and_at_a_provider(page: "Page", console: str) -> None:
    page.goto(f"{console}/?tab=bin")
    assert page.url == f"{console}/login?next=%2F%3Ftab%3Dbin"
    page.get_by_label("Name").fill("vera")
    page.get_by_label("Password").fill("a wrong one")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("no person who may sign in").wait_for()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("vera, viewer of team").wait_for()
    assert page.url == f"{console}/?tab=bin"
    page.goto(f"{console}/?tab=images")
    page.get_by_role("heading", name="Images").wait_for()
    assert page.locator("[data-flow]").count() == 0
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    page.goto(console)
    assert page.url.startswith(f"{console}/login")

    page.get_by_role("link", name="Sign in with localhost").click()
    page.locator("button", has_text="1").first.click()  # the provider's page lists its users
    page.get_by_text("ada, user of team").wait_for()
    assert page.url == f"{console}/"
    assert page.locator("[data-flow=add_volume_image]").count() == 1
    page.locator("[data-flow=add_volume_image]").click()
    page.get_by_role("heading", name="Add volume image").wait_for()
    assert page.locator("[name=account]").count() == 0

    with open_catalog() as catalog:  # put out, the open page notices by itself
        registering.change(catalog, "admin", "ada", {"disabled": True})
    page.locator("[data-close]").click()
    page.get_by_role("heading", name="Sign in").wait_for()
