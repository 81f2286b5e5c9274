"""Signatures are those that botocore makes; an endpoint that is not the credentials' own gets none."""

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
from storage.sources.s3_signature import sign
from storage.sources.urls import parse_url
from tests.services.faulty_http import Faults, FaultyHttp
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


def test_a_region_that_is_no_region_is_not_asked(server: FaultyHttp, settings: Settings) -> None:
    raw = b"HTTP/1.1 301 Elsewhere\r\nx-amz-bucket-region: evil.example/\r\nContent-Length: 0\r\n\r\n"
    server.serve("/bucket/k", Faults(raw=raw))
    with pytest.raises(SourceForbidden, match="301"):
        open_source(f"s3://bucket/k?endpoint={server.url}", settings, credentials="key:secret").probe()
    assert all("/us-east-1/" in headers["Authorization"] for _, _, headers in server.requests)


def test_the_default_endpoint_is_that_of_the_region(settings: Settings) -> None:
    from storage.sources.s3 import S3Source, open_s3

    source = open_s3(parse_url("s3://bucket/k"), settings, Credentials(), None)
    assert isinstance(source, S3Source)
    assert source.url.host == "s3.us-east-1.amazonaws.com"
    assert source.in_region("eu-west-1")[0].host == "s3.eu-west-1.amazonaws.com"


def test_half_a_key_pair_is_refused(settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match="both"):
        open_source("s3://bucket/key", settings, credentials='{"access_key": "a"}')
