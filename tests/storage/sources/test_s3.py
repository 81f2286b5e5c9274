"""Signatures are those that botocore makes; an endpoint that is not the credentials' own gets none."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import settings as settings_
from hypothesis import strategies as st

from catalog.errors import InvalidRequest, SourceForbidden
from catalog.settings import Settings
from storage.sources import open_source
from storage.sources.credentials import Credentials
from storage.sources.s3.signature import sign
from storage.sources.urls import parse_url
from tests.services.faulty_http import Faults, FaultyHttp, faulty_http
from tests.storage.sources.reading import fetch

NOW = datetime(2026, 11, 24, 5, 6, 7, tzinfo=UTC)
WORDS = st.text(st.sampled_from("abcXYZ019-_.~/ +&=%é"), min_size=1, max_size=20)


@settings_(max_examples=40, deadline=None)
@given(WORDS, WORDS, st.sampled_from(["GET", "HEAD"]), st.none() | st.text("aZ9/+=", min_size=1))
def test_signatures_equal_botocore_s(key: str, version: str, method: str, session: str | None) -> None:
    from urllib.parse import quote, urlencode

    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Keys

    path, query = quote(f"/bucket/k{key}", safe="/-_.~"), urlencode({"versionId": version}, quote_via=quote)
    request = AWSRequest(method=method, url=f"http://127.0.0.1:9000{path}?{query}")
    with patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        S3SigV4Auth(Keys("AK", "SK", session), "s3", "eu-west-1").add_auth(request)
    url = parse_url("http://127.0.0.1:9000/x").model_copy(update={"path": path, "query": query})
    keys = Credentials(access_key="AK", secret_key="SK", session_token=session)
    assert sign(method, url, keys, "eu-west-1", NOW)["Authorization"] == request.headers["Authorization"]


def test_without_credentials_the_request_is_anonymous(server: FaultyHttp, settings: Settings) -> None:
    server.serve("/bucket/a/b.raw", Faults(content=b"image"))
    assert fetch(open_source(f"s3://bucket/a/b.raw?endpoint={server.url}", settings)) == b"image"
    assert all("Authorization" not in headers for _, _, headers in server.requests)


def test_an_endpoint_that_the_credentials_do_not_belong_to_is_refused(settings: Settings) -> None:
    secret = '{"access_key": "a", "secret_key": "b", "endpoint": "https://s3.example.com"}'
    with pytest.raises(SourceForbidden, match="belong to"):
        open_source("s3://bucket/key?endpoint=http://127.0.0.1:1", settings, credentials=secret)


@pytest.mark.parametrize(
    "url",
    ["s3://bucket/", "s3:///key", "s3://bucket/key?acl=1", "s3://b/k?endpoint=ftp://h", "s3://b/folder/"],
)
def test_what_is_no_object_is_refused(settings: Settings, url: str) -> None:
    with pytest.raises(SourceForbidden):
        open_source(url, settings)


ELSEWHERE = "x-amz-bucket-region: eu-west-1\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("status", [301, 400])
def test_a_bucket_of_another_region_is_asked_again_in_that_region(
    server: FaultyHttp, settings: Settings, status: int
) -> None:
    url = f"s3://bucket/k?endpoint={server.url}"
    server.serve("/bucket/k", Faults(content=b"image"))
    info = open_source(url, settings, credentials="key:secret").probe()
    server.change("/bucket/k", raw=f"HTTP/1.1 {status} Elsewhere\r\n{ELSEWHERE}".encode())
    server.requests.clear()
    source = open_source(url, settings, credentials="key:secret")
    with pytest.raises(SourceForbidden, match=str(status)):  # it says so for every region
        source.open(0, info)
    with pytest.raises(SourceForbidden, match=str(status)):
        open_source(url, settings, credentials="key:secret").probe()
    signed = [headers["Authorization"].split("/")[2] for _, _, headers in server.requests]
    assert signed[:4] == ["us-east-1", "eu-west-1"] * 2


AMAZON = {
    "s3.us-east-1.amazonaws.com": "127.0.0.1",
    "s3.eu-west-1.amazonaws.com": "127.0.0.8",
    "bucket.s3.eu-west-1.amazonaws.com": "127.0.0.9",
    "s3.eu-west-1.amazonaws.com.evil.example": "127.0.0.9",
    "bucket.s3-website.evil.example": "127.0.0.9",
    "127.0.0.1": "127.0.0.1",
}


@pytest.fixture
def amazon(server: FaultyHttp, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FaultyHttp, FaultyHttp]]:
    """Put hosts of other regions, and one that is foreign, beside `server`, on the same port."""

    def resolve(host: str, port: int, **_more: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (AMAZON[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with (
        faulty_http(host="127.0.0.8", port=server.port) as region,
        faulty_http(host="127.0.0.9", port=server.port) as foreign,
    ):
        yield region, foreign


def new_bucket(server: FaultyHttp, location: str) -> str:
    """Have `server` answer for a bucket that was just made: 307 and only a Location. Return the object's URL."""
    target = f"http://{location}:{server.port}/bucket/k"
    server.serve("/bucket/k", Faults(redirect=target, redirect_status=307))
    return f"s3://bucket/k?endpoint=http://s3.us-east-1.amazonaws.com:{server.port}"


@pytest.mark.parametrize("host", ["s3.eu-west-1.amazonaws.com", "bucket.s3.eu-west-1.amazonaws.com"])
def test_a_bucket_just_made_is_asked_where_it_lives_signed_anew(
    server: FaultyHttp, amazon: tuple[FaultyHttp, FaultyHttp], settings: Settings, host: str
) -> None:
    region, foreign = amazon
    region.serve("/bucket/k", Faults(content=b"image"))
    source = open_source(new_bucket(server, host), settings, credentials="key:secret")
    assert fetch(source) == b"image"
    assert all("/eu-west-1/s3/" in headers["Authorization"] for _, _, headers in region.requests)
    assert len(server.requests) == 1, "the region is remembered"
    assert not foreign.connections


@pytest.mark.parametrize("host", ["s3.eu-west-1.amazonaws.com.evil.example", "bucket.s3-website.evil.example"])
def test_a_redirect_elsewhere_is_followed_without_a_signature(
    server: FaultyHttp, amazon: tuple[FaultyHttp, FaultyHttp], settings: Settings, host: str
) -> None:
    _, foreign = amazon
    foreign.serve("/bucket/k", Faults(content=b"image"))
    assert fetch(open_source(new_bucket(server, host), settings, credentials="key:secret")) == b"image"
    assert foreign.requests
    assert all("Authorization" not in headers for _, _, headers in foreign.requests)


def test_a_region_whose_address_is_off_limits_is_not_asked(
    server: FaultyHttp, amazon: tuple[FaultyHttp, FaultyHttp], settings: Settings
) -> None:
    closed = settings.model_copy(update={"allowed_networks": ("127.0.0.1/32",)})
    url = new_bucket(server, "s3.eu-west-1.amazonaws.com")
    with pytest.raises(SourceForbidden, match=r"127\.0\.0\.8 is loopback"):
        open_source(url, closed, credentials="key:secret").probe()
    assert not amazon[0].connections


def test_a_region_that_is_no_region_is_not_asked(server: FaultyHttp, settings: Settings) -> None:
    raw = b"HTTP/1.1 301 Elsewhere\r\nx-amz-bucket-region: evil.example/\r\nContent-Length: 0\r\n\r\n"
    server.serve("/bucket/k", Faults(raw=raw))
    with pytest.raises(SourceForbidden, match="301"):
        open_source(f"s3://bucket/k?endpoint={server.url}", settings, credentials="key:secret").probe()
    assert all("/us-east-1/" in headers["Authorization"] for _, _, headers in server.requests)


def test_the_default_endpoint_is_that_of_the_region(settings: Settings) -> None:
    from storage.sources.s3.source import S3Source, open_s3

    source = open_s3(parse_url("s3://bucket/k"), settings, Credentials())
    assert isinstance(source, S3Source)
    assert source.url.host == "s3.us-east-1.amazonaws.com"
    assert source.in_region("eu-west-1")[0].host == "s3.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("endpoint", "host", "moved"),
    [
        ("https://s3.amazonaws.com", "s3.us-east-1.amazonaws.com", "s3.eu-west-1.amazonaws.com"),
        ("https://s3-eu-north-1.amazonaws.com", "s3.eu-north-1.amazonaws.com", "s3.eu-west-1.amazonaws.com"),
        ("https://s3.dualstack.us-gov-west-1.amazonaws.com", "s3.dualstack.us-gov-west-1.amazonaws.com",
         "s3.dualstack.eu-west-1.amazonaws.com"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "s3.cn-north-1.amazonaws.com.cn", "s3.eu-west-1.amazonaws.com.cn"),
        ("https://s3.example.com", "s3.example.com", "s3.example.com"),
        ("https://s3.us-east-1.amazonaws.com.example", "s3.us-east-1.amazonaws.com.example",
         "s3.us-east-1.amazonaws.com.example"),
    ],
)  # fmt: skip
def test_only_amazons_own_endpoint_moves_with_the_region(
    settings: Settings, endpoint: str, host: str, moved: str
) -> None:
    from storage.sources.s3.source import S3Source, open_s3

    source = open_s3(parse_url(f"s3://bucket/k?endpoint={endpoint}"), settings, Credentials())
    assert isinstance(source, S3Source)
    assert (source.url.host, source.in_region("eu-west-1")[0].host) == (host, moved)


def test_half_a_key_pair_is_refused(settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match="both"):
        open_source("s3://bucket/key", settings, credentials='{"access_key": "a"}')
