"""Coming in with a browser at a provider that is a process of its own, and with whatever does not come from it."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from httpx import Response
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.repository.identities import registering
from console.login.cookies import NAME
from console.login.oidc import COOKIE
from tests.console.api.v1.people import PASSWORD
from tests.console.oidc.conftest import Opened
from tests.services.oidc import consent, provider

HTML = {"Accept": "text/html"}
USERS = (
    {"sub": "1", "preferred_username": "ada", "groups": ["people", "web"]},
    {"sub": "2", "preferred_username": "bob", "groups": ["people"]},
    {"sub": "3", "preferred_username": "ada", "groups": ["staff"]},
    {"sub": "4", "preferred_username": "eve x", "groups": ["staff"]},
    {"sub": "5", "preferred_username": "root", "groups": ["staff"]},
)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with provider(tmp_path_factory.mktemp("provider"), *USERS) as found:
        yield found


def gone(client: TestClient, then: str = "/") -> str:
    """Send a browser to the provider; return the address of its page."""
    answer = client.get("/login/oidc", params={"next": then})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def come(client: TestClient, subject: str, then: str = "/") -> Response:
    """Sign in there and come back."""
    back = urlsplit(consent(gone(client, then), subject))
    answer: Response = client.get(f"{back.path}?{back.query}")
    return answer


def test_a_person_comes_in_as_their_groups_have_it(console: Opened, issuer: str) -> None:
    client = console(issuer)
    assert client.get("/", headers=HTML).headers["Location"] == "/login?next=%2F"  # nobody came yet, and may
    assert f"Sign in with {urlsplit(issuer).hostname}" in client.get("/login").text
    answer = come(client, "1", "/?tab=bin")
    assert (answer.status_code, 'content="0;url=/?tab=bin"' in answer.text) == (200, True), answer.text
    said = [cookie.lower() for cookie in answer.headers.get_list("Set-Cookie") if cookie.startswith(NAME)]
    assert "httponly" in said[0]
    assert "samesite=strict" in said[0]
    assert COOKIE not in client.cookies
    assert "ada, user of team" in client.get("/", headers=HTML).text
    who = client.get("/api/v1/whoami", headers={"Authorization": f"Bearer {client.cookies[NAME]}"}).json()
    assert (who["name"], who["account"], who["projects"], who["role"]) == ("ada", "team", ["blog", "shop"], "user")
    assert client.post("/logout", headers={"X-Imagewright": "1"}).status_code == 204
    assert client.get("/", headers=HTML).status_code == 303
    with open_catalog() as catalog:
        told = {event.kind.rpartition(".")[2]: event for event in catalog.events(subject="identity:ada")}
    assert {"added", "signed_in", "signed_out"} <= told.keys()
    assert told["signed_in"].door == "console"


def test_the_page_is_asked_with_pkce_state_and_nonce_and_each_is_used_once(console: Opened, issuer: str) -> None:
    client = console(issuer)
    one, two = (parse_qs(urlsplit(gone(client)).query) for _ in range(2))
    assert one["code_challenge_method"] == ["S256"]
    assert one["redirect_uri"] == ["http://127.0.0.1/login/oidc/callback"]
    for name in ("state", "nonce", "code_challenge"):
        assert one[name] != two[name]
        assert len(one[name][0]) >= 32


def test_what_changes_there_changes_here(console: Opened, issuer: str) -> None:
    client = console(issuer)
    come(client, "1")
    with open_catalog() as catalog:
        registering.change(catalog, "admin", "ada", {"role": "viewer", "account": "elsewhere"})
    come(client, "1")
    with open_catalog() as catalog:
        assert (catalog.identity("ada").role, catalog.identity("ada").account) == ("user", "team")
        registering.change(catalog, "admin", "ada", {"disabled": True})
    refused = come(client, "1")
    assert (refused.status_code, "disabled" in refused.text) == (401, True)


@pytest.mark.parametrize(
    ("subject", "words"), [("2", "none of their groups"), ("4", "is no name"), ("5", "somebody else")]
)
def test_who_has_no_place_or_somebody_elses_name_stays_out(
    console: Opened, issuer: str, subject: str, words: str
) -> None:
    client = console(issuer)
    with open_catalog() as catalog:
        registering.add(catalog, "admin", "root", "admin", role="admin", password=PASSWORD)
    refused = come(client, subject)
    assert (refused.status_code, words in refused.text) == (401, True), refused.text
    assert NAME not in client.cookies
    with open_catalog() as catalog:
        assert {one.name for one in catalog.identities()} == {"root"}


def test_another_one_with_the_same_name_there_is_not_the_same_here(console: Opened, issuer: str) -> None:
    come(console(issuer), "1")
    refused = come(console(issuer), "3")
    assert (refused.status_code, "somebody else" in refused.text) == (401, True)
    with open_catalog() as catalog:
        assert catalog.identity("ada").role == "user"


def test_no_password_is_theirs(console: Opened, issuer: str) -> None:
    client = console(issuer)
    come(client, "1")
    with open_catalog() as catalog:
        kept = catalog.password_of("ada")
    assert kept is not None
    for guess in (kept.hash, kept.hash.partition(":")[2], ""):
        answer = client.post("/login", json={"name": "ada", "password": guess}, headers={"X-Imagewright": "1"})
        assert answer.status_code == 401


def test_what_was_not_begun_in_this_browser_is_refused(console: Opened, issuer: str) -> None:
    victim, thief = console(issuer), console(issuer)
    back = urlsplit(consent(gone(thief), "1"))
    for _ in range(2):  # the thief's own code, sent to somebody who began nothing, and then something else
        answer = victim.get(f"{back.path}?{back.query}")
        assert (answer.status_code, NAME in victim.cookies) == (401, False)
        gone(victim)
    kept = {"Cookie": f"{COOKIE}={thief.cookies[COOKIE][:-8]}AAAAAAAA"}
    assert victim.get(f"{back.path}?{back.query}", headers=kept).status_code == 401


def test_a_code_is_good_once(console: Opened, issuer: str) -> None:
    client = console(issuer)
    back = urlsplit(consent(gone(client), "1"))
    kept = client.cookies[COOKIE]
    assert client.get(f"{back.path}?{back.query}").status_code == 200
    client.cookies.set(COOKIE, kept, path="/login/oidc")
    assert client.get(f"{back.path}?{back.query}").status_code == 401


@pytest.mark.parametrize("query", ["", "error=access_denied", "state=x&code=y", "code=y", "state=%00&code=%ff"])
def test_what_comes_back_without_anything_good_is_said(console: Opened, issuer: str, query: str) -> None:
    client = console(issuer)
    gone(client)
    assert client.get(f"/login/oidc/callback?{query}").status_code == 401


def test_where_there_is_no_provider_nobody_is_sent_to_one(home: Path) -> None:
    from tests.console.api.v1.people import service

    with service(follow_redirects=False) as client:
        assert "oidc" not in client.get("/login").text
        assert client.get("/login/oidc").status_code == 404
        assert client.get("/login/oidc/callback?state=a&code=b").status_code == 404
        assert client.post("/api/v1/session/device").json()["type"] == "NoSuchSignIn"
        assert client.get("/api/v1/session/ways").json() == {"password": True, "oidc": None}
