"""Persons, robots and tokens by the API: an administrator's, but for one's own."""

from collections.abc import Mapping

import pytest
from starlette.testclient import TestClient

from catalog import open_catalog
from tests.console.api.v1.people import PASSWORD, bearer

Headers = Mapping[str, dict[str, str]]
API = "/api/v1"


def test_an_administrator_adds_changes_and_disables(api: TestClient, people: Headers) -> None:
    root = people["root"]
    asked = {"name": "zoe", "account": "team", "role": "user", "projects": ["web"], "password": PASSWORD}
    made = api.post(f"{API}/identities", json=asked, headers=root)
    assert (made.status_code, made.json()["kind"], made.json()["projects"]) == (201, "person", ["web"])
    assert api.post(f"{API}/identities", json=asked, headers=root).status_code == 409
    changed = api.patch(f"{API}/identities/zoe", json={"role": "viewer"}, headers=root)
    assert (changed.json()["role"], changed.json()["account"]) == ("viewer", "team")
    assert api.delete(f"{API}/identities/zoe", headers=root).json()["disabled"] is True
    assert api.post(f"{API}/session", json={"name": "zoe", "password": PASSWORD}).status_code == 401
    assert "zoe" in [one["name"] for one in api.get(f"{API}/identities", headers=root).json()["items"]]
    with open_catalog() as catalog:
        told = {event.kind.rpartition(".")[2]: event for event in catalog.events(subject="identity:zoe")}
    for kind in ("added", "changed", "disabled"):
        assert (told[kind].identity, told[kind].door) == ("root", "API")


@pytest.mark.parametrize("name", ["viewer", "user", "other", "scoped robot"])
def test_nobody_else_may(api: TestClient, people: Headers, name: str) -> None:
    headers = people[name]
    tried = [
        api.get(f"{API}/identities", headers=headers),
        api.get(f"{API}/identities/root", headers=headers),
        api.get(f"{API}/identities/nobody-at-all", headers=headers),
        api.post(f"{API}/identities", json={"name": "x", "account": "x"}, headers=headers),
        api.patch(f"{API}/identities/root", json={"role": "viewer"}, headers=headers),
        api.delete(f"{API}/identities/root", headers=headers),
        api.get(f"{API}/tokens", headers=headers),
        api.post(f"{API}/tokens", json={"identity": "root"}, headers=headers),
    ]
    assert [answer.status_code for answer in tried] == [403] * len(tried)
    assert tried[1].text == tried[2].text.replace("nobody-at-all", "root")


def test_nobody_makes_themselves_more(api: TestClient, people: Headers) -> None:
    for change in ({"role": "admin"}, {"account": "admin"}, {"disabled": False}, {"projects": ["secret"]}):
        answer = api.patch(
            f"{API}/identities/user",
            json={**change, "password": PASSWORD, "current_password": PASSWORD},
            headers=people["user"],
        )
        assert answer.status_code == 403


def test_ones_own_password_is_changed_with_the_present_one(api: TestClient, people: Headers) -> None:
    change = {"password": "another horse 8", "current_password": "wrong"}
    assert api.patch(f"{API}/identities/user", json=change, headers=people["user"]).status_code == 401
    assert (
        api.patch(f"{API}/identities/user", json={"password": "another horse 8"}, headers=people["user"]).status_code
        == 403
    )
    change["current_password"] = PASSWORD
    assert api.patch(f"{API}/identities/user", json=change, headers=people["user"]).status_code == 200
    assert api.post(f"{API}/session", json={"name": "user", "password": "another horse 8"}).status_code == 200


def test_tokens_are_made_shown_once_used_and_revoked(api: TestClient, people: Headers) -> None:
    root = people["root"]
    asked = {"identity": "robot", "scope": {"verbs": ["read"]}, "expires_at": "2100-01-01T00:00:00Z"}
    made = api.post(f"{API}/tokens", json=asked, headers=root)
    assert made.status_code == 201
    mine = bearer(made.json()["token"])
    assert api.get(f"{API}/whoami", headers=mine).json()["scope"]["verbs"] == ["read"]
    shown = api.get(f"{API}/tokens/{made.json()['id']}", headers=root).json()
    assert shown["last_used_at"] is not None
    assert made.json()["token"] not in str(shown)
    assert api.get(f"{API}/tokens", headers=mine, params={"identity": "robot"}).status_code == 200
    assert api.get(f"{API}/tokens/{made.json()['id']}", headers=people["user"]).status_code == 404
    assert api.delete(f"{API}/tokens/{made.json()['id']}", headers=people["user"]).status_code == 404
    assert api.delete(f"{API}/tokens/{made.json()['id']}", headers=mine).status_code == 200
    assert api.get(f"{API}/whoami", headers=mine).status_code == 401


@pytest.mark.parametrize(
    "scope", [{"verbs": ["fly"]}, {"images": [""]}, {"foo": 1}, {"images": "x"}],
)  # fmt: skip
def test_scopes_that_can_not_be(api: TestClient, people: Headers, scope: dict[str, object]) -> None:
    assert (
        api.post(f"{API}/tokens", json={"identity": "robot", "scope": scope}, headers=people["root"]).status_code == 422
    )


def test_the_last_administrator_can_not_lock_everybody_out(api: TestClient, people: Headers) -> None:
    answer = api.delete(f"{API}/identities/root", headers=people["root"])
    assert (answer.status_code, answer.json()["type"]) == (409, "LastAdministrator")
