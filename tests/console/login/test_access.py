"""The page of access: what each role sees and may do there, and that a token is shown once and to nobody else."""

import re

import pytest
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Account, NewToken, Scope
from catalog.repository.identities import proofs, registering
from tests.catalog.samples import START
from tests.console.api.v1.people import AUTH, PASSWORD, bearer, service
from tests.console.login.conftest import OURS, Browser

TOKEN = {"name": "nightly builds", "role": "viewer", "days": 30}
ROBOT = {"name": "ci", "account": "team", "role": "user", "days": 30}
PERSON = {"name": "zoe", "account": "team", "role": "viewer", "password": f" {PASSWORD} "}
NEW = "another horse 8"


def made(name: str, of: str) -> NewToken:
    with open_catalog() as catalog:
        return registering.create_token(catalog, "admin", "root", of, Scope(), None, name)


def whoami(client: TestClient, token: str) -> object:
    return client.get("/api/v1/whoami", headers=bearer(token)).json().get("name")


@pytest.mark.parametrize("name", ["viewer", "user"])
def test_a_person_sees_their_own_tokens_and_account_and_nobody_else(browser: Browser, name: str) -> None:
    mine, other = made("mine", name), made("not mine", "other")
    page = browser(name).get("/access").text
    assert "mine" in page
    assert mine.id in page
    assert "team" in page
    for word in ("not mine", other.id, "others", "root", "robot", "data-disable", "data-flow", 'data-access="robot"'):
        assert word not in page, word
    assert mine.token.split("_", 2)[2] not in page


@pytest.mark.parametrize("name", ["viewer", "user"])
def test_whoever_administers_nothing_is_refused_what_no_button_offers(browser: Browser, name: str) -> None:
    client, other = browser(name), made("not mine", "other")
    tried = [
        client.post("/access/robots", json=ROBOT, headers=OURS),
        client.post("/access/persons", json=PERSON, headers=OURS),
        client.patch("/access/identities/other", json={"role": "admin"}, headers=OURS),
        client.patch(f"/access/identities/{name}", json={"role": "admin"}, headers=OURS),
        client.patch("/access/identities/other", json={"disabled": True}, headers=OURS),
        client.post("/access/identities/other/password", json={"password": NEW}, headers=OURS),
        client.post(f"/access/identities/{name}/password", json={"password": NEW}, headers=OURS),
        client.post("/access/identities/other/tokens", json=TOKEN, headers=OURS),
        client.post("/access/identities/nobody-at-all/tokens", json=TOKEN, headers=OURS),
        *(client.get(f"/access/forms/{form}?name=other") for form in ("robot", "person", "token", "change")),
        client.get("/access/forms/reset-password?name=other"),
        client.post("/api/flows/set_account", json={"name": "team", "quota_images": 0}, headers=OURS),
    ]
    assert [answer.status_code for answer in tried] == [403] * len(tried)
    assert tried[7].text == tried[8].text
    nothing = [client.delete(f"/access/tokens/{one}", headers=OURS) for one in (other.id, "0" * 16)]
    assert [answer.status_code for answer in nothing] == [404, 404]
    assert nothing[0].text.replace(other.id, "0" * 16) == nothing[1].text
    assert whoami(client, other.token) == "other"


def test_a_person_makes_and_revokes_a_token_that_has_no_more_than_they(browser: Browser) -> None:
    client = browser("user")
    answer = client.post("/access/identities/user/tokens", json=TOKEN, headers=OURS)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    token, secret = answer.json()["token"], answer.json()["token"].split("_", 2)[2]
    assert whoami(client, token) == "user"
    for page in (
        client.get("/access"),
        client.get("/"),
        client.get("/api/v1/tokens?identity=user", headers=bearer(token)),
    ):
        assert secret not in page.text
    shown = client.get("/access").text
    assert "nightly builds" in shown
    assert "last used" in shown
    above = client.post("/access/identities/user/tokens", json={**TOKEN, "role": "admin"}, headers=OURS)
    assert (above.status_code, above.json()["error"]) == (422, "role: 'admin' is not allowed; one of viewer, user")
    assert "<option >admin" not in client.get("/access/forms/token?name=user").text
    with open_catalog() as catalog:
        assert secret not in str(list(catalog.events()))
        registering.change(catalog, "admin", "user", {"role": "admin", "account": "team"})
    assert client.get("/api/v1/identities", headers=bearer(token)).status_code == 403  # it stays a viewer's
    assert client.delete(f"/access/tokens/{answer.json()['id']}", headers=OURS).status_code == 200
    assert client.get("/api/v1/whoami", headers=bearer(token)).status_code == 401
    assert "revoked" in client.get("/access").text


def test_a_token_makes_no_token_and_a_session_makes_ones_own_by_the_api_too(browser: Browser) -> None:
    client, token = browser("user"), made("mine", "user").token
    asked = {"identity": "user", "name": "more"}
    refused = client.post("/api/v1/tokens", json=asked, headers=bearer(token))
    assert (refused.status_code, "a session, or the role admin" in refused.text) == (403, True)
    session = client.post("/api/v1/session", json={"name": "user", "password": PASSWORD}).json()["token"]
    assert client.post("/api/v1/tokens", json=asked, headers=bearer(session)).json()["name"] == "more"
    assert (
        client.post("/api/v1/tokens", json={**asked, "identity": "other"}, headers=bearer(session)).status_code == 403
    )


def test_an_administrator_gives_a_robot_a_token_and_keeps_it_out_again(browser: Browser) -> None:
    client = browser("root")
    answer = client.post("/access/robots", json=ROBOT, headers=OURS)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    token = answer.json()["token"]
    assert whoami(client, token) == "ci"
    page = client.get("/access").text
    assert token.split("_", 2)[2] not in page
    assert re.search(r'data-row="ci".*?tokens-ci', page, re.DOTALL)
    again = client.post("/access/robots", json=ROBOT, headers=OURS)
    assert (again.status_code, "'ci'" in again.json()["error"]) == (422, True)
    assert client.patch("/access/identities/ci", json={"disabled": True}, headers=OURS).json()["disabled"] is True
    assert client.get("/api/v1/whoami", headers=bearer(token)).status_code == 401
    assert client.patch("/access/identities/ci", json={"disabled": False}, headers=OURS).status_code == 200
    assert whoami(client, token) == "ci"
    with open_catalog() as catalog:
        entries = list(catalog.events(subject="identity:ci"))
        assert {(entry.identity, entry.door) for entry in entries} == {("root", "console")}
        assert token.split("_", 2)[2] not in str(list(catalog.events()))


def test_a_robot_whose_token_can_not_be_is_not_added_either(browser: Browser) -> None:
    client = browser("root")
    for wrong in (
        {"days": 0},
        {"days": 3651},
        {"role": "king"},
        {"account": ""},
        {"name": "a b"},
        {"account": "admin"},
    ):
        answer = client.post("/access/robots", json={**ROBOT, **wrong}, headers=OURS)
        assert (answer.status_code, next(iter(wrong)) in answer.json()["error"]) == (422, True), answer.text
    assert 'data-row="ci"' not in client.get("/access").text


def test_an_administrator_adds_changes_and_gives_another_password(browser: Browser) -> None:
    client = browser("root")
    assert client.post("/access/persons", json=PERSON, headers=OURS).json()["kind"] == "person"
    entered = browser().post("/login", json={"name": "zoe", "password": f" {PASSWORD} "}, headers=OURS)
    assert entered.status_code == 204  # spaces are part of a password
    changed = client.patch("/access/identities/zoe", json={"role": "user", "projects": ["web"]}, headers=OURS).json()
    assert (changed["role"], changed["projects"], changed["account"]) == ("user", ["web"], "team")
    assert client.patch("/access/identities/zoe", json={"clear": ["projects"]}, headers=OURS).json()["projects"] == []
    assert client.post("/access/identities/zoe/password", json={"password": NEW}, headers=OURS).status_code == 200
    assert browser().post("/login", json={"name": "zoe", "password": NEW}, headers=OURS).status_code == 204
    last = client.patch("/access/identities/root", json={"disabled": True}, headers=OURS)
    assert (last.status_code, client.get("/access").status_code) == (422, 200)


def test_ones_own_password_takes_the_present_one(browser: Browser) -> None:
    client = browser("viewer")
    wrong = client.post("/access/password", json={"password": NEW, "current_password": "guess"}, headers=OURS)
    assert wrong.status_code == 422
    right = {"password": NEW, "current_password": PASSWORD}
    assert client.post("/access/password", json={"password": NEW}, headers=OURS).status_code == 422
    assert client.post("/access/password", json=right, headers=OURS).status_code == 200
    assert client.get("/access", headers=OURS).status_code == 401


@pytest.mark.parametrize(
    "body", ['{"name": "a", "password": ["hunter2"]}', '{"hunter2"', '["hunter2"]', '{"passwrd": "hunter2"}']
)
def test_what_was_typed_as_a_password_is_repeated_nowhere(browser: Browser, body: str) -> None:
    client = browser("root")
    for path in ("/access/persons", "/access/password", "/access/identities/user/password"):
        answer = client.post(path, content=body, headers=OURS)
        assert (answer.status_code, "hunter2" in answer.text) == (422, False)


@pytest.mark.parametrize(
    "headers", [{}, {**OURS, "Origin": "http://evil.example"}, {**OURS, "Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_somebody_else_makes_and_changes_nothing(browser: Browser, headers: dict[str, str]) -> None:
    client, mine = browser("root"), made("mine", "root")
    assert client.post("/access/robots", json=ROBOT, headers=headers).status_code == 403
    assert client.post("/access/identities/root/tokens", json=TOKEN, headers=headers).status_code == 403
    assert client.patch("/access/identities/user", json={"disabled": True}, headers=headers).status_code == 403
    assert client.delete(f"/access/tokens/{mine.id}", headers=headers).status_code == 403
    assert whoami(client, mine.token) == "root"


def test_what_nobody_can_be_called_is_nobody(browser: Browser) -> None:
    client = browser("root")
    for name in ("nobody-at-all", "%00", "%F0%9F%90%BB", "a" * 500, "..%2fx"):
        for answer in (
            client.post(f"/access/identities/{name}/tokens", json=TOKEN, headers=OURS),
            client.patch(f"/access/identities/{name}", json={"role": "viewer"}, headers=OURS),
            client.get(f"/access/forms/change?name={name}"),
            client.delete(f"/access/tokens/{name}", headers=OURS),
        ):
            assert answer.status_code == 404, (name, answer.text)
    assert client.get("/access/forms/reset-password?name=robot").status_code == 404  # it has none
    assert client.get("/access/forms/king").status_code == 404


def test_the_operators_work_as_an_administrator_and_are_told_how_the_first_person_is_made(
    home: object, cheap_passwords: None, nobody_serves: None
) -> None:
    with service() as client:
        client.auth = tuple(AUTH.split(":"))
        page = client.get("/access").text
        assert "There is no person yet" in page
        assert "Your tokens" not in page
        person = {"name": "root", "account": "admin", "role": "admin", "password": PASSWORD}
        assert client.post("/access/persons", json=person, headers=OURS).status_code == 200
        assert "There is no person yet" not in client.get("/access").text
        token = client.post("/access/robots", json=ROBOT, headers=OURS).json()
        assert token["created_by"] == ""  # a person may be called as they are
        own = {"password": NEW, "current_password": PASSWORD}
        assert client.post("/access/password", json=own, headers=OURS).status_code == 422  # they have none
        with open_catalog() as catalog:
            assert {entry.door for entry in catalog.events(subject="identity:ci")} == {"console"}


def test_accounts_show_what_they_use_of_their_quotas_and_the_form_how_they_are_set(browser: Browser) -> None:
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_account(Account(name="team", quota_images=4, created_at=START))
    client = browser("root")
    page = client.get("/access").text
    assert re.search(r'data-row="account team".*?0 of 4.*?no limit', page, re.DOTALL)
    assert 'data-row="account others"' in page
    form = client.get("/forms/set_account", params={"given": '{"name": "team"}'}).text
    assert 'value="4" data-present data-clears="defaults"' in form
    assert "readonly" in form
    assert "account others" not in client.get("/access?q=team").text


def test_persons_are_read_in_pages_and_found_by_words(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.pages.access.lines.PAGE", 2)
    client, seen = browser("root"), []
    for number in range(4):
        seen += re.findall(r'<li data-row="([a-z]+)"', client.get(f"/access?page={number}").text)
    assert seen == sorted(["disabled", "other", "robot", "root", "user", "viewer"])
    assert re.findall(r'<li data-row="([a-z]+)"', client.get("/access?q=OTHERS").text) == ["other"]
    assert "Nothing matches" in client.get("/access?q=zzz").text


def test_whom_a_provider_knows_is_offered_no_password(browser: Browser) -> None:
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.keep_password("user", proofs.foreign("ab"))
    page = browser("root").get("/access?q=user").text
    line = page.partition('data-row="user"')[2].partition("</li>")[0]
    assert "known by the provider" in line
    assert "reset-password" not in line
