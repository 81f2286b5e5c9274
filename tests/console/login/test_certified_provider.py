"""At a certified provider, a program of somebody else's: a person in Chromium, a command by a code, and whom it does not prove."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from catalog import open_catalog
from deployments.definitions import ROOT
from tests.console.served import served
from tests.services.browser import chromium, page_of
from tests.services.oidc import CLIENT_ID, CLIENT_SECRET, certified_provider

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("sign-in in a browser")]
PEOPLE = {
    "ada-1815": {"preferred_username": "ada", "groups": ["people", "web"]},
    "grace-1906": {"preferred_username": "grace", "groups": ["staff"]},
    "bob": {"preferred_username": "bob", "groups": ["people"]},
}
GROUPS = "staff=admin:admin,web=team:user"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with certified_provider(tmp_path_factory.mktemp("certified"), **PEOPLE) as found:
        yield found


@pytest.fixture(scope="module")
def chromium_here() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(chromium_here: "Browser") -> "Iterator[Page]":
    with page_of(chromium_here, 900) as found:
        yield found


@pytest.fixture
def named(home: Path, nobody_serves: None, issuer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the provider in the settings."""
    settings = {"ISSUER": issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "GROUPS": GROUPS,
                "SCOPES": "openid profile groups"}  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"IMAGEWRIGHT_OIDC_{name}", value)


@pytest.fixture
def console(named: None) -> Iterator[str]:
    with served() as port:
        yield f"http://127.0.0.1:{port}"


def proves(page: "Page", login: str) -> None:
    """Sign in at the provider's pages and agree to what we ask of it."""
    page.locator("[name=login]").fill(login)
    page.locator("[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def test_a_person_comes_in_as_their_group_has_it_and_goes_out(page: "Page", console: str, issuer: str) -> None:
    page.goto(f"{console}/?tab=bin")
    page.get_by_role("link", name="Sign in with localhost").click()
    assert page.url.startswith(f"{issuer}/interaction/")
    proves(page, "ada-1815")
    page.get_by_text("ada, user of team").wait_for()
    assert page.url == f"{console}/?tab=bin"
    (cookie,) = [one for one in page.context.cookies(console) if one.get("value", "").startswith("iws_")]
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    stolen = httpx.get(f"{console}/api/v1/whoami", headers={"Authorization": f"Bearer {cookie['value']}"}, timeout=60)
    assert stolen.status_code == 401
    with open_catalog() as catalog:
        told = {event.kind.rpartition(".")[2]: event for event in catalog.events(subject="identity:ada")}
    assert {"added", "signed_in", "signed_out"} <= told.keys()
    assert {(told[kind].identity, told[kind].door) for kind in ("signed_in", "signed_out")} == {("ada", "console")}


def test_who_is_in_no_group_of_ours_stays_out(page: "Page", console: str) -> None:
    page.goto(console)
    page.get_by_role("link", name="Sign in with localhost").click()
    proves(page, "bob")
    page.get_by_text("none of their groups").wait_for()
    assert not [one for one in page.context.cookies(console) if one.get("value", "").startswith("iws_")]


def test_a_command_comes_in_by_a_code_that_its_person_types(page: "Page", console: str, tmp_path: Path) -> None:
    machine = tmp_path / "machine"
    machine.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "IMAGEWRIGHT_"))}
    environment = {**kept, "IMAGEWRIGHT_HOME": str(machine), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "flows.cli"]
    login = subprocess.Popen(
        [*command, "login", console, "--oidc"], env=environment, cwd=machine, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert login.stderr is not None
        said = next(found for line in login.stderr if (found := re.match(r"open (\S+) in .* type (\S+)", line)))
        page.goto(said[1])
        page.locator("[name=user_code]").fill(said[2])
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name="Continue").click()  # the code is the one that the command shows
        proves(page, "grace-1906")
        page.get_by_text("Sign-in Success").wait_for()
        out, err = login.communicate(timeout=100)
        assert (login.returncode, "as grace, admin of account admin" in out) == (0, True), err
    finally:
        login.kill()
    for words, ended in (("whoami", 0), ("logout", 0), ("whoami", 1)):
        done = subprocess.run(
            [*command, words], env=environment, cwd=machine, capture_output=True, text=True, check=False, timeout=100
        )
        assert (done.returncode, "grace" in done.stdout) == (ended, words == "whoami" and not ended), done.stderr


def test_by_another_name_it_is_another_provider(
    named: None, issuer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = urlsplit(issuer).port
    monkeypatch.setenv("IMAGEWRIGHT_OIDC_ISSUER", f"http://127.0.0.1:{port}")
    with served() as here:
        refused = httpx.get(f"http://127.0.0.1:{here}/login/oidc", timeout=60)
    assert (refused.status_code, f"it says to be {issuer}" in refused.text) == (503, True), refused.text


def test_a_secret_that_is_not_ours_lets_nobody_in(page: "Page", named: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_OIDC_CLIENT_SECRET", "another")
    with served() as port:
        page.goto(f"http://127.0.0.1:{port}")
        page.get_by_role("link", name="Sign in with localhost").click()
        proves(page, "ada-1815")
        page.get_by_text("does not take our client id and secret").wait_for()
    with open_catalog() as catalog:
        assert not json.dumps([one.name for one in catalog.identities()]).count("ada")
