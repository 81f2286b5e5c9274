"""Services that don't keep their word, and the way to them: each ends in one typed sentence, and no token goes astray."""

import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from catalog.errors import ImageNotFound, InvalidRequest, SignInLimited
from catalog.settings import load_settings
from flows.client import Client, connection
from flows.client.connection import Connection
from flows.client.errors import AnswerNotUnderstood, ServiceRefused, ServiceUnreachable
from tests.services.scripted_http import Answers, answer, scripted

pytestmark = pytest.mark.usefixtures("home")
WHO: dict[str, object] = {
    "name": "a",
    "kind": "robot",
    "account": "team",
    "role": "user",
    "scope": {},
    "expires_at": None,
}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_READ_TIMEOUT_S", "1")
    monkeypatch.setattr(connection, "MOST_JSON", 1 << 20)


def endless(_head: str) -> Iterator[bytes]:
    yield b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"name": "'
    while True:
        yield b"x" * 65536


ODD: dict[str, tuple[Answers | bytes, str]] = {
    "endless": (endless, "more than 1048576 bytes"),
    "no JSON": (answer(b"<html>"), "what is no JSON"),
    "deep JSON": (answer(b"[" * 100_000), "what is no JSON"),
    "a page": (answer(b"<html>", kind="text/html"), "'text/html' instead of JSON"),
    "a list": (answer(b"[]"), "what is no WhoAmI"),
    "a part": (answer(b'{"name": "a"}'), "what is no WhoAmI (kind: Field required)"),
    "a redirect": (answer(b"", "302 Found", Location="http://x.example/"), "a redirect to 'http://x.example/'"),
    "nothing": (answer(b"", "204 No Content"), "what is no WhoAmI"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_answer_that_no_service_gives_is_one_sentence(odd: str) -> None:
    said, found = ODD[odd]
    with scripted(said) as server, Client(server.url, "iw_x") as client:
        with pytest.raises(AnswerNotUnderstood) as raised:
            client.whoami()
        assert found in str(raised.value)
        assert "iw_x" not in str(raised.value)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BROKEN = {
    "nothing": b"", "no HTTP": b"hello\r\n\r\n", "too short": HEAD + b"Content-Length: 99\r\n\r\n{}",
    "no chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "many headers": HEAD + b"X: y\r\n" * 500 + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_an_answer_that_breaks_off_is_one_sentence(broken: str) -> None:
    with scripted(BROKEN[broken]) as server, Client(server.url, "iw_x") as client:
        with pytest.raises(ServiceUnreachable) as raised:
            client.whoami()
        assert raised.value.was_reached
        assert "\n" not in str(raised.value)


def test_a_service_that_says_nothing_is_not_waited_for_for_ever() -> None:
    def silent(_head: str) -> Iterator[bytes]:
        time.sleep(3)
        yield b""

    late = pytest.raises(ServiceUnreachable, match="does not answer in time")
    with scripted(silent) as server, Client(server.url, "iw_x") as client, late:
        client.whoami()


def test_no_token_follows_a_redirect() -> None:
    with scripted(answer(b"{}")) as other:
        moved = answer(b"", "307 Temporary Redirect", Location=f"{other.url}/api/v1/whoami")
        with scripted(moved) as server, Client(server.url, "iw_secret") as client:
            with pytest.raises(AnswerNotUnderstood, match="not followed"):
                client.whoami()
            assert "Authorization: Bearer iw_secret" in server.heads[0]
        assert other.heads == []


def test_a_refusal_gives_a_terminal_no_orders_and_no_attribute_its_values() -> None:
    problem = {
        "type": "ImageNotFound", "detail": "no image\x1b[2J\n'x'", "status": 404, "name": "x", "error_status": "y",
        "__class__": "z", "args": ["q"],
    }  # fmt: skip
    said = answer(json.dumps(problem).encode(), "404 Not Found", "application/problem+json")
    with scripted(said) as server, Client(server.url, "iw_x") as client, pytest.raises(ImageNotFound) as raised:
        client.image("x")
    assert str(raised.value) == "no image [2J 'x'"
    assert (raised.value.name, type(raised.value)) == ("x", ImageNotFound)
    assert raised.value.__dict__["status"] == "y"


@pytest.mark.parametrize("kind", ["about:blank", "SystemExit", "__all__", "no such"])
def test_a_refusal_of_no_class_of_ours_is_a_refusal_all_the_same(kind: str) -> None:
    problem = answer(json.dumps({"type": kind, "detail": "no"}).encode(), "400 Bad Request", "application/problem+json")
    with scripted(problem) as server, Client(server.url, "iw_x") as client, pytest.raises(ServiceRefused) as raised:
        client.whoami()
    assert str(raised.value).endswith("): no")
    assert (raised.value.status, raised.value.kind) == (400, kind)


def test_who_asks_too_often_waits_as_long_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"type": "TooManyRequests", "detail": "too many"}
    limited = answer(json.dumps(told).encode(), "429 Too Many Requests", "application/problem+json", Retry_After="1",
                     Connection="close")  # fmt: skip
    answers = iter([limited, answer(json.dumps(WHO).encode())])
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with scripted(lambda _head: iter([next(answers)])) as server, Client(server.url, "iw_x") as client:
        assert client.whoami().name == "a"
    assert waited == [1.0]


def test_a_time_that_nobody_can_wait_is_not_waited() -> None:
    told = {"type": "SignInLimited", "detail": "too many", "retry_after_s": "for ever"}
    limited = answer(
        json.dumps(told).encode(), "429 Too Many Requests", "application/problem+json", Retry_After="9" * 30
    )
    with scripted(limited) as server, Client(server.url, "iw_x") as client, pytest.raises(SignInLimited):
        client.whoami()
    odd = answer(json.dumps({**told, "type": "x"}).encode(), "429 Too Many Requests", "application/problem+json")
    with scripted(odd) as server, Client(server.url, "iw_x") as client, pytest.raises(ServiceRefused):
        client.whoami()


def test_only_a_certificate_of_a_known_authority_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with scripted(answer(json.dumps(WHO).encode()), tls) as server:
        address = server.url.replace("http:", "https:")
        with Client(address, "iw_x") as client, pytest.raises(ServiceUnreachable, match="certificate is not trusted"):
            client.whoami()
        assert server.heads == []
        monkeypatch.setenv("IMAGEWRIGHT_CA_FILE", str(tmp_path / "ca.pem"))
        with Client(address, "iw_x") as client:
            assert client.whoami().name == "a"
        with Client(address.replace("127.0.0.1", "localhost"), "iw_x") as client, pytest.raises(ServiceUnreachable):
            client.whoami()  # the certificate is another name's
    monkeypatch.setenv("IMAGEWRIGHT_CA_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(InvalidRequest, match="IMAGEWRIGHT_CA_FILE"):
        Client(address, "iw_x")


def test_a_proxy_of_the_environment_is_used_but_not_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(answer(json.dumps(WHO).encode())) as between:
        monkeypatch.setenv("http_proxy", between.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with Client("http://images.invalid:4201", "iw_x") as client:
            assert client.whoami().name == "a"
        assert between.heads[0].startswith("GET http://images.invalid:4201/api/v1/whoami")
        before = len(between.heads)
        with pytest.raises(ServiceUnreachable):
            Connection("http://127.0.0.1:9", "iw_x", load_settings()).ask("GET", "/whoami")
        assert len(between.heads) == before
