"""Signing in with a browser: what a session is, and what whoever tries to have one otherwise gets."""

import pytest
from httpx import Response
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.repository.identities import registering
from console.entrance.guesses import WRONG
from console.login.cookies import NAME, SECURE
from console.login.pages import place_of
from tests.console.api.v1.people import AUTH, PASSWORD, bearer
from tests.console.login.conftest import OURS, Browser

HTML = {"Accept": "text/html,*/*"}
RIGHT = {"name": "user", "password": PASSWORD}
BASIC = tuple(AUTH.split(":"))


def entered(client: TestClient, **headers: str) -> Response:
    answer: Response = client.post("/login", json=RIGHT, headers={**OURS, **headers})
    return answer


def test_a_session_is_a_cookie_that_no_script_reads_and_no_other_site_has_sent(browser: Browser) -> None:
    answer = entered(browser())
    assert answer.status_code == 204
    said = answer.headers["Set-Cookie"].lower()
    assert said.startswith(f"{NAME}=iws_")
    assert {"httponly", "samesite=strict", "path=/", "max-age=43200"} <= set(said.split("; "))
    assert "secure" not in said
    assert "domain" not in said


def test_over_https_it_is_sent_over_https_only_and_none_is_taken_that_was_set_over_http(browser: Browser) -> None:
    client = browser(url="https://127.0.0.1")
    answer = entered(client)
    said = answer.headers["Set-Cookie"]
    assert said.startswith(f"{SECURE}=")
    assert "; secure" in said.lower()
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert client.get("/", headers=HTML).status_code == 200
    planted = {"Cookie": f"{NAME}={client.cookies[SECURE]}"}
    assert browser(url="https://127.0.0.1").get("/", headers={**HTML, **planted}).status_code == 303


def test_who_says_to_come_over_https_is_believed_only_as_a_proxy_that_is_named(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"X-Forwarded-Proto": "https"}
    assert "secure" not in entered(browser(), **told).headers["Set-Cookie"].lower()
    monkeypatch.setenv("IMAGEWRIGHT_TRUSTED_PROXIES", "192.0.2.0/24")
    assert "secure" in entered(browser(), **told).headers["Set-Cookie"].lower()
    assert "secure" not in entered(browser(), **{"X-Forwarded-Proto": "https, http"}).headers["Set-Cookie"].lower()
    assert "secure" not in entered(browser(host="198.51.100.1"), **told).headers["Set-Cookie"].lower()


def test_wrong_ones_are_limited_by_name_and_address(browser: Browser) -> None:
    client = browser()

    def guess(client: TestClient, name: str = "user") -> Response:
        answer: Response = client.post("/login", json={"name": name, "password": "guess"}, headers=OURS)
        return answer

    assert [guess(client).status_code for _ in range(6)] == [401] * 5 + [429]
    told = guess(client)
    assert int(told.headers["Retry-After"]) > 60
    assert entered(client).status_code == 429  # the right one as well
    assert entered(browser(host="198.51.100.7")).status_code == 204  # its owner, from elsewhere
    assert guess(client, "nobody-at-all").status_code == 401
    assert guess(browser(host="203.0.113.5"), "x" * 300).status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({**OURS, "Origin": "http://evil.example"}, 403),
        ({**OURS, "Origin": "null"}, 403),
        ({**OURS, "Origin": "http://127.0.0.1:8888"}, 403),
        ({**OURS, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**OURS, "Sec-Fetch-Site": "same-site"}, 403),
        ({**OURS, "Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, 503),
        (OURS, 503),
    ],
)
@pytest.mark.parametrize("path", ["/api/flows/delete_image", "/logout", "/login"])
def test_a_page_of_somebody_else_changes_nothing(
    browser: Browser, headers: dict[str, str], status: int, path: str
) -> None:
    client = browser("root")
    body: dict[str, object] = dict(RIGHT) if path == "/login" else {"image_ids": []}
    answer = client.post(path, json=body, headers=headers)
    if status == 403:
        assert answer.status_code == 403
        assert client.get("/", headers=HTML).status_code == 200
    else:
        assert answer.status_code in (204, 422, 503)


def test_signed_out_the_cookie_is_good_for_nothing(browser: Browser) -> None:
    client = browser("user")
    kept = client.cookies[NAME]
    answer = client.post("/logout", headers=OURS)
    assert answer.status_code == 204
    assert NAME not in client.cookies
    stolen = browser()
    stolen.cookies.set(NAME, kept)
    assert stolen.get("/", headers=HTML).status_code == 303
    assert stolen.get("/api/v1/whoami", headers=bearer(kept)).status_code == 401


def test_who_signs_in_again_leaves_no_session_behind(browser: Browser) -> None:
    client = browser("user")
    kept = client.cookies[NAME]
    assert entered(client).status_code == 204
    assert client.cookies[NAME] != kept
    assert client.get("/api/v1/whoami", headers=bearer(kept)).status_code == 401


@pytest.mark.parametrize("change", [{"disabled": True}, {"password": "another horse 8"}])
def test_a_session_ends_with_what_it_stands_on(browser: Browser, change: dict[str, object]) -> None:
    client = browser("user")
    with open_catalog() as catalog:
        password = change.get("password")
        registering.change(catalog, "admin", "user", {} if password else change, str(password) if password else None)
    assert client.get("/", headers=HTML).headers["Location"] == "/login?next=%2F"


def test_whoever_is_nobody_is_asked_as_they_came(browser: Browser) -> None:
    client = browser()
    to_page = client.get("/images/x?y=1", headers=HTML)
    assert (to_page.status_code, to_page.headers["Location"]) == (303, "/login?next=%2Fimages%2Fx%3Fy%3D1")
    script = client.get("/table", headers={"Sec-Fetch-Mode": "cors"})
    assert (script.status_code, "WWW-Authenticate" in script.headers) == (401, False)  # no dialog of the browser
    program = client.get("/table")
    assert (program.status_code, program.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert client.get("/login").status_code == 200
    assert client.post("/api/flows/delete_image", json={}, headers=OURS).status_code == 401
    assert client.get("/static/login.js").status_code == 200


def test_where_there_is_no_person_the_operators_are_asked_as_ever(home: object, nobody_serves: None) -> None:
    from tests.console.api.v1.people import service

    with service(follow_redirects=False) as client:
        answer = client.get("/", headers=HTML)
        assert (answer.status_code, answer.headers["WWW-Authenticate"][:5]) == (401, "Basic")
        assert client.get("/", auth=BASIC, headers=HTML).status_code == 200


@pytest.mark.parametrize(
    "asked",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "evil", "", "/a\nb", "http:/x",
     "/\t/evil.example", "///evil.example"],
)  # fmt: skip
def test_nobody_is_sent_elsewhere(browser: Browser, asked: str) -> None:
    assert place_of(asked) == "/"
    page = browser().get("/login", params={"next": asked})
    assert 'data-next="/"' in page.text


def test_where_somebody_was_going_they_go() -> None:
    assert place_of("/images/x?tab=a b") == "/images/x?tab=a b"


def test_the_operators_come_in_beside_persons_and_their_password_is_not_guessed_for_long(browser: Browser) -> None:
    client = browser()
    asked = client.get("/operators", headers={**HTML, "Sec-Fetch-Mode": "navigate"})
    assert (asked.status_code, asked.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert client.get("/operators", auth=BASIC).headers["Location"] == "/"
    repeated = [client.get("/table", auth=("imagewright", "old")).status_code for _ in range(WRONG + 5)]
    assert set(repeated) == {401}  # a page that was left open guesses nothing
    tried = [client.get("/table", auth=("imagewright", str(number))).status_code for number in range(WRONG)]
    assert tried == [401] * (WRONG - 1) + [429]
    assert client.get("/table", auth=BASIC).status_code == 429
    assert browser(host="198.51.100.9").get("/table", auth=BASIC).status_code == 200
    with open_catalog() as catalog:
        limited = [e for e in catalog.events() if e.kind.endswith("sign_in_limited")]
    assert len(limited) == 1


def test_who_signed_in_is_who_they_are_though_the_browser_knows_the_operators_password(browser: Browser) -> None:
    client = browser("viewer")
    page = client.get("/", auth=BASIC, headers=HTML)
    assert "viewer, viewer of team" in page.text
    assert (
        client.post("/api/flows/delete_image", json={"image_ids": ["x"]}, headers=OURS, auth=BASIC).status_code == 403
    )


def test_a_token_is_no_session(browser: Browser) -> None:
    with open_catalog() as catalog:
        from catalog.records import Scope

        token = registering.create_token(catalog, "admin", "root", "root", Scope(), None).token
    client = browser()
    client.cookies.set(NAME, token)
    assert client.get("/", headers=HTML).status_code == 303
    for nothing in ("x", "iws_0000000000000000_" + "A" * 43, "é"):
        sent = client.get("/", headers={b"Accept": b"text/html", b"Cookie": f"{NAME}={nothing}".encode("latin-1")})
        assert sent.status_code == 303


def test_the_log_tells_who_came_in_from_where_by_which_door(browser: Browser) -> None:
    client = browser("user")
    client.post("/logout", headers=OURS)
    client.post("/login", json={"name": "user", "password": "guess"}, headers=OURS)
    with open_catalog() as catalog:
        told = {event.kind.rpartition(".")[2]: event for event in catalog.events(subject="identity:user")}
    doors = {kind: (event.identity, event.door) for kind, event in told.items()}
    assert doors["signed_in"] == doors["signed_out"] == ("user", "console")
    assert doors["sign_in_failed"] == (None, "console")  # whoever it was, it is not proven to be them
    assert "192.0.2.7" in str(told["signed_in"])
    assert PASSWORD not in str(told)
    assert "guess" not in str(told)


def test_what_was_typed_is_repeated_nowhere(browser: Browser) -> None:
    client = browser()
    for body in (
        '{"name": "a", "password": ["hunter2"]}',
        '{"hunter2"',
        '{"name": "a", "password": "hunter2", "x": 1}',
    ):
        answer = client.post("/login", content=body, headers=OURS)
        assert (answer.status_code, "hunter2" in answer.text) == (422, False)
    huge = client.post("/login", content=b"x" * (1 << 20), headers=OURS)
    assert huge.status_code == 422


def test_pages_of_somebody_are_kept_nowhere(browser: Browser) -> None:
    answer = browser("user").get("/", headers=HTML)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "user, user of team" in answer.text
