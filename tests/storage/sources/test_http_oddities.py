"""What `curl -L` fetches from mirrors, redirectors, proxies and object stores, we fetch; who attacks gains nothing by it."""

import random
import time
from collections.abc import Callable

import pytest

from catalog.errors import SourceChanged, SourceForbidden, TransferInterrupted
from catalog.settings import Settings
from storage.sources import open_source
from storage.sources.http.cookies import MAX_COOKIES, CookieJar
from storage.sources.http.head import parse_fields
from storage.sources.http.redirects import corrected, next_hop
from storage.sources.urls import parse_url
from tests.services.faulty_http import Faults, FaultyHttp, faulty_http
from tests.services.odd_http import SERVERS, Reply, Request, odd_http, plain, redirected
from tests.storage.sources.reading import fetch, read

BODY = random.Random(21).randbytes(300_000)
LATER = "ready-later"  # asks to be asked again


@pytest.mark.parametrize("name", [name for name in SERVERS if name != LATER])
def test_each_odd_server_is_fetched_from(settings: Settings, name: str) -> None:
    with odd_http(name, BODY) as server:
        source = open_source(f"{server.url}/disk.raw", settings)
        info = source.probe()
        began = time.monotonic()
        with source.open(0, info) as stream:
            assert read(stream) == BODY
        assert time.monotonic() - began < 5
        assert info.size_bytes == len(BODY)


@pytest.mark.parametrize("name", [name for name in SERVERS if name != LATER and not name.startswith("range-")])
def test_each_odd_server_is_gone_on_with_in_the_middle(settings: Settings, name: str) -> None:
    with odd_http(name, BODY) as server:
        source = open_source(f"{server.url}/disk.raw", settings)
        info, kept = source.probe(), memoryview(bytearray(100_000))
        with source.open(0, info) as stream:
            at = 0
            while at < len(kept):
                at += stream.readinto(kept[at:])
        if name == "mirrors-without-etags":  # nothing but the size agrees: that proves nothing
            with pytest.raises(SourceChanged):
                source.open(at, info)
            return
        if info.resumable:
            with source.open(at, info) as stream:
                assert bytes(kept) + read(stream) == BODY


def test_a_file_that_is_got_ready_first_is_asked_for_later(settings: Settings) -> None:
    with odd_http(LATER, BODY) as server:
        source = open_source(f"{server.url}/disk.raw", settings)
        with pytest.raises(TransferInterrupted, match="202 Accepted: it is still getting the file ready") as caught:
            source.probe()
        assert caught.value.retry_after_s == 1
        assert len(server.requests) == 1
        with pytest.raises(TransferInterrupted):
            source.probe()
        with pytest.raises(TransferInterrupted):
            source.probe()
        assert fetch(source) == BODY


def another_build(request: Request) -> Reply:
    """Another file of the same size and time, with another ETag, from the fourth request on."""
    content = BODY if request.number < 4 else random.Random(22).randbytes(len(BODY))
    changed = Request(request.method, request.target, request.headers, request.number, content)
    return plain(changed, etag=f'"{request.number // 4}"')


def test_another_build_under_the_same_time_is_never_mixed_in(settings: Settings) -> None:
    with odd_http(another_build, BODY) as server:
        source = open_source(f"{server.url}/disk.raw", settings)
        info = source.probe()
        with source.open(0, info) as stream:
            at = stream.readinto(memoryview(bytearray(100_000)))
        source.probe()
        with pytest.raises(SourceChanged, match="with other bytes"):
            source.open(at, info)


def test_zeros_prove_nothing_about_another_server(settings: Settings) -> None:
    with odd_http("another-mirror-each-time", bytes(300_000)) as server:
        source = open_source(f"{server.url}/disk.raw", settings)
        info = source.probe()
        with source.open(0, info) as stream:
            at = stream.readinto(memoryview(bytearray(100_000)))
        with pytest.raises(SourceChanged):
            source.open(at, info)


def test_a_mirror_that_takes_over_is_asked_for_little_more_than_the_rest(settings: Settings) -> None:
    with odd_http("another-mirror-each-time", BODY) as server:
        source = open_source(f"{server.url}/disk.raw", settings)
        info = source.probe()
        with source.open(0, info) as stream:
            at = stream.readinto(memoryview(bytearray(100_000)))
        with source.open(at, info) as stream:
            read(stream)
        assert int(server.requests[-1].headers["Range"].partition("=")[2].partition("-")[0]) >= at - (16 << 10)


def test_one_request_finds_out_all_there_is_to_know(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=BODY))
    open_source(url, settings).probe()
    assert [(method, headers["Range"]) for method, _, headers in server.requests] == [("GET", "bytes=0-511")]


# ---- who attacks


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/x",
        "http://169.254.169.254/latest/meta-data",
        "//10.0.0.1/x",
        "http://0x0a000001/x",
        "http://10.0.0.1\\@127.0.0.1/x",
        "http://127.0.0.1@10.0.0.1/x",
        "http://10.0.0.1 /x",
        "http:\\\\10.0.0.1\\x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http:///etc/passwd",
        "http://[::ffff:10.0.0.1]/x",
        "http://[10.0.0.1/x",
        "javascript:alert(1)",
    ],
)
def test_a_redirect_off_limits_is_refused_at_each_hop(settings: Settings, location: str) -> None:
    def serve(request: Request) -> Reply:
        return redirected("/second") if request.path == "/first" else redirected(location)

    with odd_http(serve, BODY) as server, pytest.raises(SourceForbidden):
        open_source(f"{server.url}/first", settings).probe()


@pytest.mark.parametrize("location", ["\\\\10.0.0.1\\x", "/\\10.0.0.1/x", "\\/10.0.0.1/x", "/..\\..//10.0.0.1"])
def test_a_backslash_is_a_character_of_a_name_and_never_a_host(location: str) -> None:
    asked = parse_url("http://127.0.0.1:81/a/b")
    assert next_hop(asked, location, allow_downgrade=False).origin == asked.origin


def test_a_line_break_in_a_redirect_begins_no_other_field() -> None:
    assert corrected("/x\r\nHost: evil") == "/x%0D%0AHost:%20evil"


def test_cookies_and_passwords_stay_with_the_server_they_are_of(settings: Settings) -> None:
    with faulty_http() as other:
        other.serve("/y", Faults(content=BODY))

        def serve(request: Request) -> Reply:
            fields = {"Set-Cookie": "session=s3cr3t; Domain=127.0.0.1; Path=/"}
            return (
                redirected(f"{other.url}/y", **fields)
                if "session" in request.headers.get("Cookie", "")
                else redirected("/x", **fields)
            )

        with odd_http(serve, BODY) as server:
            url = f"{server.url}/x".replace("//", "//me:geheim@")
            assert fetch(open_source(url, settings)) == BODY
        assert all({"Cookie", "Authorization"}.isdisjoint(headers) for _, _, headers in other.requests)


def test_a_jar_is_bounded_and_takes_no_line_breaks() -> None:
    jar, origin = CookieJar(), ("http", "h", 80)
    jar.take(
        origin,
        [
            "a=1\r\nX: y",
            "b=" + "x" * 5000,
            "=c",
            "d",
            "e=1; Max-Age=0",
            "f=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        ],
    )
    assert jar.header(origin) == {"Cookie": "a=1"}
    jar.take(origin, [f"n{number}=1" for number in range(99)])
    assert jar.header(origin)["Cookie"].count("=") == MAX_COOKIES
    jar.take(origin, ["a=gone; max-age=-1"])
    assert "a=" not in jar.header(origin)["Cookie"]
    for elsewhere in (("https", "h", 80), ("http", "h", 81), ("http", "sub.h", 80)):
        assert jar.header(elsewhere) == {}


def test_fields_are_read_whatever_bytes_they_have() -> None:
    fields = parse_fields(b"A: \xff\xfe\r\nno field\r\n: x\r\nContent-Length : 5\r\nB: one\r\n two\r\nb:three\r\n")
    assert (fields.first("a"), fields.first("content-length"), fields.all("B")) == (
        "ÿþ",
        "5",
        ("one two", "three"),
    )


def test_a_server_that_answers_nothing_ends_in_bounded_time(with_: Callable[..., Settings]) -> None:
    with faulty_http() as server:
        url = server.serve("/x", Faults(content=BODY, delay_s=30))
        began = time.monotonic()
        with pytest.raises(TransferInterrupted, match="no byte came in time"):
            open_source(url, with_(read_timeout_s=0.5)).probe()
        assert time.monotonic() - began < 15
