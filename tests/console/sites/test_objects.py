"""The objects of a store for another site: by an administrator's token alone, within the store, and within bounds."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from catalog.errors import ImagewrightError, InvalidRequest, StorageRefused, StorageUnavailable
from console.sites import objects
from storage.imagestore.objects import retrying
from storage.imagestore.objects.site import SiteObjects
from storage.imagestore.objects.site_connection import parse_site
from tests.services.site import Site, site


@pytest.fixture
def there() -> Site:
    return site()


@pytest.fixture
def url(there: Site) -> str:
    return there.storage()


@pytest.fixture
def client(there: Site) -> Iterator[httpx.Client]:
    import ssl

    trusted = ssl.create_default_context(cafile=str(there.ca))
    with httpx.Client(verify=trusted, timeout=60) as client:
        yield client


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_DELAY_S", 0.001)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


REQUESTS = (
    ("GET", "objects"),
    ("GET", "objects/a"),
    ("HEAD", "objects/a"),
    ("PUT", "objects/a"),
    ("DELETE", "objects/a"),
    ("GET", "capacity"),
)


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_it_takes_the_token_of_an_administrator(
    there: Site, url: str, client: httpx.Client, method: str, path: str
) -> None:
    SiteObjects(there.address(url)).put("a", b"kept")
    for headers, status in (
        ({}, 401),
        (bearer("iw_x"), 401),
        (bearer(there.viewer), 403),
        ({"Cookie": f"token={there.token}"}, 401),
    ):
        answer = client.request(method, f"{url}/{path}", headers=headers)
        assert answer.status_code == status
        assert "kept" not in answer.text
    assert SiteObjects(there.address(url)).get("a") == b"kept"


def test_a_page_of_another_origin_is_refused_even_with_a_token(there: Site, url: str, client: httpx.Client) -> None:
    headers = {**bearer(there.token), "Origin": "https://evil.example"}
    assert client.put(f"{url}/objects/a", content=b"x", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "name", ["%2e%2e/%2e%2e/catalog.db", "..%2fx", "a/%2e%2e/x", "a//b", "%2fetc%2fpasswd", "a%00b"]
)
def test_no_name_leads_out_of_the_store(there: Site, url: str, client: httpx.Client, name: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = client.request(method, f"{url}/objects/{name}", headers=bearer(there.token))
        assert answer.status_code in (404, 405, 422), answer.text
    listed = client.get(f"{url}/objects?prefix=../", headers=bearer(there.token))
    assert listed.status_code == 422
    assert (there.settings.home / "catalog.db").read_bytes()


def test_a_store_that_is_not_there_is_said_so(there: Site) -> None:
    with pytest.raises(StorageRefused, match="nowhere"):
        SiteObjects(there.address(f"{there.url}/storages/nowhere")).capacity()


def test_what_is_too_large_is_not_taken(
    there: Site, url: str, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "MOST_BYTES", 1000)

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(100)

    answer = client.put(f"{url}/objects/a", content=endless(), headers=bearer(there.token))
    assert answer.status_code == 413
    assert SiteObjects(there.address(url)).size("a") is None


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def lying(there: Site, answer: Answer) -> Iterator[tuple[SiteObjects, list[str | None]]]:
    """Yield a store at a server that answers as it likes, and the tokens that it was sent."""
    import ssl

    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            answer(self)

        do_PUT = do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(there.ca.parent / "server.pem"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield SiteObjects(there.address(f"https://127.0.0.1:{server.server_port}/storages/x")), seen
        server.shutdown()


def says(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def loops(handler: BaseHTTPRequestHandler) -> None:
    says(200, b'{"objects": [["a", 1]], "next": "a"}')(handler)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (says(206, bytes(4096)), StorageUnavailable, "more than"),
        (says(500, b"{}"), StorageUnavailable, "it answers 500"),
        (says(418, b"\xff\x00"), StorageRefused, "it answers 418"),
        (says(302, b"", Location="https://127.0.0.1:1/"), StorageRefused, "it answers 302"),
    ],
    ids=["too long", "broken", "odd", "elsewhere"],
)
def test_a_lying_site_ends_in_a_sentence_without_the_token(
    there: Site, answer: Answer, error: type[ImagewrightError], said: str
) -> None:
    with lying(there, answer) as (store, seen):
        with pytest.raises(error, match=said) as raised:
            store.get("a", 0, 10) if said == "more than" else store.get("a")
        assert there.token not in str(raised.value)
        assert seen[0] == f"Bearer {there.token}"


@pytest.mark.parametrize(
    "answer", [loops, says(200, b"[]"), says(200, b'{"objects": [["b", 1], ["a", 1]], "next": null}')]
)
def test_a_list_that_is_none_is_not_followed_for_ever(there: Site, answer: Answer) -> None:
    with lying(there, answer) as (store, seen), pytest.raises(StorageUnavailable, match="its list is none"):
        list(store.list(""))
    assert len(seen) <= 2 * retrying.ATTEMPTS


def test_a_certificate_of_nobody_is_not_believed(there: Site, url: str) -> None:
    stranger = there.address(url).model_copy(update={"ca_file": None})
    with pytest.raises(StorageUnavailable, match="certificate"):
        SiteObjects(stranger).get("a")


@pytest.mark.parametrize(
    "url",
    [
        "http://h/storages/a",
        "https://h/a",
        "https://u:p@h/storages/a",
        "https://h/storages/",
        "https://h/storages/a/b",
        "https:///storages/a",
    ],
)
def test_an_address_of_no_storage_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="storages/NAME"):
        parse_site(url, "iw_x")


@pytest.mark.parametrize("credentials", [None, "", '{"token": 3', '{"secret": "x"}', "a\nb", "ü"])
def test_a_secret_that_is_no_token_is_refused_without_showing_it(credentials: str | None) -> None:
    with pytest.raises(InvalidRequest, match="a token of the other site") as raised:
        parse_site("https://h/storages/a", credentials)
    assert not credentials or credentials not in str(raised.value)


def test_either_form_of_the_secret_is_a_token(tmp_path: Path) -> None:
    for given in ("iw_1", '{"token": "iw_1"}'):
        assert parse_site("https://h:8443/storages/a/", given).token == "iw_1"
