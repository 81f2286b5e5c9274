"""Several mirrors of one image: the first that answers, another where it breaks off, never two files mixed."""

import random
from collections.abc import Iterator

import pytest

from catalog.errors import SourceChanged, SourceNotFound, TransferInterrupted
from catalog.settings import Settings
from storage.sources import open_source
from tests.services.faulty_http import Faults, FaultyHttp, faulty_http
from tests.services.payload import payload
from tests.services.process import free_port
from tests.storage.sources.reading import fetch, read


@payload
def body() -> bytes:
    return random.Random(9).randbytes(2 << 20)


@pytest.fixture
def other() -> Iterator[FaultyHttp]:
    with faulty_http() as running:
        yield running


def test_a_dead_mirror_is_passed_over(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body()))
    source = open_source(f"http://127.0.0.1:{free_port()}/x {server.url}/absent {url}", settings)
    info = source.probe()
    assert (info.url, info.size_bytes, info.resumable) == (url, len(body()), True)
    assert fetch(source) == body()


def test_another_mirror_goes_on_where_one_broke_off(server: FaultyHttp, other: FaultyHttp, settings: Settings) -> None:
    one = server.serve("/x", Faults(content=body(), etag='"one"', cut_at=1_000_000, cut_times=99))
    two = other.serve("/y", Faults(content=body(), etag='"two"'))
    assert fetch(open_source(f"{one}\n{two}", settings)) == body()
    assert other.gets("/y")[-1]["Range"] == f"bytes=1000000-{len(body()) - 1}"
    assert server.body_bytes + other.body_bytes < len(body()) + 2048


def test_what_one_mirror_began_another_resumes(server: FaultyHttp, other: FaultyHttp, settings: Settings) -> None:
    one = server.serve("/x", Faults(content=body(), etag='"one"'))
    two = other.serve("/y", Faults(content=body(), etag='"two"'))
    info = open_source(f"{one} {two}", settings).probe()
    server.change("/x", fail_first=9, head_status=503)
    again = open_source(f"{one} {two}", settings)
    assert again.probe().same_file(info)
    with again.open(1_500_000, info) as stream:
        assert read(stream) == body()[1_500_000:]


def test_a_mirror_with_another_file_is_never_mixed_in(
    server: FaultyHttp, other: FaultyHttp, settings: Settings
) -> None:
    one = server.serve("/x", Faults(content=body(), cut_at=1_000_000, cut_times=99))
    for change in ({"content": body()[1:]}, {"modified": "Thu, 05 Nov 2026 08:00:00 GMT"}, {"modified": ""}):
        two = other.serve("/y", Faults(content=body()))
        other.change("/y", **change)
        source = open_source(f"{one} {two}", settings)
        with source.open(0, source.probe()) as stream, pytest.raises(TransferInterrupted) as caught:
            read(stream)
        assert caught.value.offset == 1_000_000


def test_nowhere_is_not_found_and_changed_everywhere_is_changed(server: FaultyHttp, settings: Settings) -> None:
    with pytest.raises(SourceNotFound):
        open_source(f"{server.url}/a {server.url}/b", settings).probe()
    urls = " ".join(server.serve(path, Faults(content=body())) for path in ("/a", "/b"))
    source = open_source(urls, settings)
    info = source.probe()
    for path in ("/a", "/b"):
        server.change(path, content=body()[5:])
    with pytest.raises(SourceChanged):
        source.open(10, info)


def test_a_secret_goes_to_the_first_mirror_s_host_only(
    server: FaultyHttp, other: FaultyHttp, settings: Settings
) -> None:
    one = server.serve("/x", Faults(head_status=404, fail_first=9, fail_status=404))
    two = other.serve("/y", Faults(content=body()))
    assert fetch(open_source(f"{one} {two}", settings, credentials="user:geheim")) == body()
    assert all("Authorization" in headers for _, _, headers in server.requests)
    assert all("Authorization" not in headers for _, _, headers in other.requests)


def test_a_bucket_of_the_same_name_on_another_endpoint_is_not_given_the_secret(
    server: FaultyHttp, other: FaultyHttp, settings: Settings
) -> None:
    server.serve("/bucket/x", Faults(head_status=404, fail_first=9, fail_status=404))
    other.serve("/bucket/x", Faults(content=body()))
    one, two = (f"s3://bucket/x?endpoint={endpoint.url}" for endpoint in (server, other))
    assert fetch(open_source(f"{one} {two}", settings, credentials="key:secret")) == body()
    assert all("Authorization" in headers for _, _, headers in server.requests)
    assert all("Authorization" not in headers for _, _, headers in other.requests)
