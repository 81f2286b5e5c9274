"""Coming in: what is let in, and what whoever tries to come in otherwise learns."""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from catalog import open_catalog
from catalog.repository.identities import registering
from catalog.settings import load_settings
from console.api.v1.app import MAX_BODY
from console.entrance.proxies import HANDED_ON
from flows.server.environment import ServerAddress, address_file, read_address, write_address
from tests.console.api.v1.people import PASSWORD, bearer, service

SETUP = {"token": "T" * 43, "name": "root", "password": PASSWORD}
Headers = Mapping[str, dict[str, str]]


@pytest.fixture
def here(home: Path, cheap_passwords: None) -> Iterator[TestClient]:
    """Yield a client on the service's own machine, with a link that was printed."""
    address = ServerAddress(
        api_url="http://127.0.0.1:1/api", pid=os.getpid(), setup=f"http://127.0.0.1:2/setup#{'T' * 43}"
    )
    write_address(address_file(load_settings()), address)
    with service("127.0.0.1") as client:
        yield client


def test_the_one_time_link_makes_the_first_administrator_once(here: TestClient) -> None:
    made = here.post("/api/v1/setup", json=SETUP)
    assert (made.status_code, made.json()["role"], made.json()["account"]) == (201, "admin", "admin")
    left = read_address(address_file(load_settings()))
    assert left is not None
    assert left.setup == ""
    again = here.post("/api/v1/setup", json={**SETUP, "name": "second"})
    assert (again.status_code, again.json()["type"]) == (403, "SetupClosed")
    session = here.post("/api/v1/session", json={"name": "root", "password": PASSWORD})
    who = here.get("/api/v1/whoami", headers=bearer(session.json()["token"]))
    assert (who.json()["name"], who.json()["role"]) == ("root", "admin")


@pytest.mark.parametrize("header", HANDED_ON)
def test_the_link_is_good_for_nobody_behind_a_proxy(here: TestClient, header: str) -> None:
    answer = here.post("/api/v1/setup", json=SETUP, headers={header: "127.0.0.1"})
    assert (answer.status_code, answer.json()["type"]) == (403, "SetupClosed")


@pytest.mark.parametrize("token", ["", "T" * 42, "T" * 44, "é" * 43])
def test_another_link_is_none(here: TestClient, token: str) -> None:
    assert here.post("/api/v1/setup", json={**SETUP, "token": token}).status_code == 403


def test_the_link_is_good_for_nobody_from_afar_or_once_there_is_a_person(here: TestClient) -> None:
    with service("192.0.2.7") as far:
        assert far.post("/api/v1/setup", json=SETUP).status_code == 403
    with open_catalog() as catalog:
        registering.add(catalog, "admin", "alice", "team", role="viewer", password=PASSWORD)
    assert here.post("/api/v1/setup", json=SETUP).status_code == 403


def test_without_a_link_there_is_no_setup(home: Path, cheap_passwords: None) -> None:
    with service("127.0.0.1") as client:
        assert client.post("/api/v1/setup", json={**SETUP, "token": ""}).status_code == 403


def test_a_session_begins_and_ends(api: TestClient, people: Headers) -> None:
    begun = api.post("/api/v1/session", json={"name": "user", "password": PASSWORD})
    assert begun.status_code == 200
    assert begun.json().keys() == {"token", "expires_at"}
    headers = bearer(begun.json()["token"])
    assert api.get("/api/v1/whoami", headers=headers).json()["name"] == "user"
    assert api.delete("/api/v1/session", headers=headers).status_code == 204
    assert api.get("/api/v1/whoami", headers=headers).status_code == 401


def test_wrong_names_and_passwords_get_one_answer(api: TestClient, people: Headers) -> None:
    tries = [("user", "wrong"), ("nobody-here", PASSWORD), ("robot", PASSWORD), ("disabled", PASSWORD)]
    answers = [api.post("/api/v1/session", json={"name": name, "password": given}) for name, given in tries]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].headers["content-type"] == "application/problem+json"
    assert PASSWORD not in answers[0].text


def test_guessing_is_answered_with_when_to_come_again(api: TestClient, people: Headers) -> None:
    answers = [api.post("/api/v1/session", json={"name": "user", "password": "guess"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) == answers[-1].json()["retry_after_s"] > 0


def test_an_address_that_is_only_claimed_does_not_count(api: TestClient, people: Headers) -> None:
    def guess(number: int) -> int:
        claimed = {"X-Forwarded-For": f"198.51.100.{number}"}
        given = {"name": "user", "password": "guess"}
        return int(api.post("/api/v1/session", json=given, headers=claimed).status_code)

    assert [guess(number) for number in range(6)][-1] == 429


def test_behind_a_trusted_proxy_each_address_counts_for_itself(
    home: Path, cheap_passwords: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_TRUSTED_PROXIES", "192.0.2.0/24")

    def guess(client: TestClient, told: str) -> int:
        given = {"name": "user", "password": "guess"}
        return int(client.post("/api/v1/session", json=given, headers={"X-Forwarded-For": told}).status_code)

    with service("192.0.2.7") as client:
        assert [guess(client, f"203.0.113.9, 198.51.100.{number}") for number in range(6)] == [401] * 6
        # what stands before the nearest stranger is what that one claims
        assert [guess(client, f"203.0.113.{number}, 198.51.100.99, 192.0.2.1") for number in range(6)][-1] == 429


def test_an_unknown_name_takes_as_long_as_a_wrong_password(home: Path) -> None:
    with open_catalog() as catalog:
        registering.add(catalog, "admin", "alice", "team", role="viewer", password=PASSWORD)
    took: dict[str, list[float]] = {"alice": [], "nobody": []}
    with service() as client:
        client.post("/api/v1/session", json={"name": "first", "password": "makes the hash of nobody"})
        for _ in range(4):
            for name, times in took.items():
                began = time.process_time()
                assert client.post("/api/v1/session", json={"name": name, "password": "guess"}).status_code == 401
                times.append(time.process_time() - began)
    known, unknown = (statistics.median(times) for times in took.values())
    assert 0.5 < known / unknown < 2  # without the second hash: a tenth


@pytest.mark.parametrize(
    "given",
    [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}, {"Authorization": "Basic aW1hZ2V3cmlnaHQ6b3BlcmF0b3Jz"},
     {"Cookie": "session=x"}, {"Authorization": "Bearer iw_0000000000000000_" + "A" * 43}],
)  # fmt: skip
def test_nothing_but_a_known_token_lets_in(api: TestClient, people: Headers, given: dict[str, str]) -> None:
    answer = api.get("/api/v1/whoami", headers=given)
    assert (answer.status_code, answer.json()["type"]) == (401, "NotSignedIn")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_two_tokens_in_one_request_are_none(api: TestClient, people: Headers) -> None:
    two = [("Authorization", people["user"]["Authorization"]), ("Authorization", people["root"]["Authorization"])]
    assert api.get("/api/v1/whoami", headers=two).status_code == 401


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1.evil.example"]
)
def test_pages_of_other_origins_are_answered_nothing(api: TestClient, people: Headers, origin: str) -> None:
    answer = api.get("/api/v1/whoami", headers={**people["root"], "Origin": origin})
    assert answer.status_code == 403
    assert "root" not in answer.text
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_another_name_of_this_host_is_refused(api: TestClient, people: Headers) -> None:
    assert api.get("/api/v1/whoami", headers={**people["root"], "Host": "evil.example"}).status_code == 421


def test_the_password_of_operators_is_not_one_of_the_api_nor_a_token_one_of_the_console(
    api: TestClient, people: Headers
) -> None:
    assert api.get("/api/v1/whoami", auth=("imagewright", "operators")).status_code == 401
    assert api.get("/", headers=people["root"]).status_code == 401
    assert api.get("/", auth=("imagewright", "operators")).status_code == 200
    for path in ("/api/v1/../flows/x", "//api/v1/x", "/api/v1/%2e%2e/%2e%2e/"):
        assert api.get(path).status_code in (401, 404)


@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/setup"])
def test_a_huge_body_is_refused_before_it_is_read_whole(api: TestClient, path: str) -> None:
    sent, answered = 0, list[Message]()

    async def receive() -> Message:
        nonlocal sent
        sent += 1 << 20
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": sent < 1 << 30}

    async def send(message: Message) -> None:
        answered.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    whole = {**scope, "scheme": "http", "client": ("192.0.2.7", 50000), "root_path": ""}
    asyncio.run(api.app(whole, receive, send))  # type: ignore[arg-type]
    assert (answered[0]["status"], sent) == (413, MAX_BODY + (1 << 20))
    assert dict(answered[0]["headers"])[b"content-type"] == b"application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"[" * 100_000,
        b'{"name": 1}',
        b"\xff\xfe",
        b'{"name": "\\ud800", "password": "x"}',
    ],
)
def test_what_is_no_request_is_said_in_a_sentence(api: TestClient, body: bytes) -> None:
    answer = api.post("/api/v1/session", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= answer.json().keys()


def test_no_password_is_repeated(api: TestClient) -> None:
    for given in ({"name": "a", "password": "hunter2" * 1000}, {"name": "a", "password": ["hunter2"]}):
        answer = api.post("/api/v1/session", json=given)
        assert answer.status_code == 422
        assert "hunter2" not in answer.text
