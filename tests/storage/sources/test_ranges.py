"""Several connections for one file: in order, bounded, healing, modest towards a busy server."""

import threading
from collections.abc import Callable

import pytest

from catalog.errors import SourceChanged
from catalog.settings import Settings
from storage.sources import open_plain, open_source
from storage.sources.http.ranges import MAX_IN_FLIGHT, range_size
from storage.sources.http.source import HttpSource
from storage.sources.http.trial import parallel_pays
from tests.contracts.source_servers import Parallel
from tests.services.faulty_http import Faults, FaultyHttp
from tests.services.payload import payload, random_bytes
from tests.storage.sources.reading import fetch, read, read_until_broken


@payload
def body() -> bytes:
    return random_bytes(8 << 20, 11)


Change = Callable[..., Settings]


@pytest.fixture
def parallel(with_: Change) -> Settings:
    return with_(parallel_round_trip_s=0.0, parallel_ranges=4)


def parallel_source(url: str, settings: Settings) -> Parallel:
    made = open_plain(url, settings)
    assert isinstance(made, HttpSource)
    return Parallel(made)


def test_it_arrives_in_order_over_several_connections(server: FaultyHttp, parallel: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), delay_s=0.01))
    assert fetch(parallel_source(url, parallel)) == body()
    assert 4 <= server.connections <= 8
    assert all(headers["If-Range"] == '"v1"' for headers in server.gets("/x")[1:])


def test_near_servers_get_one_connection(server: FaultyHttp, with_: Change) -> None:
    url = server.serve("/x", Faults(content=body()))
    assert fetch(open_source(url, with_(parallel_round_trip_s=1.0))) == body()
    assert len(server.gets("/x")) == 2  # the head, and all


def test_a_reader_that_stops_stops_the_connections(server: FaultyHttp, parallel: Settings) -> None:
    url = server.serve("/x", Faults(content=body()))
    source = parallel_source(url, parallel)
    with source.open(0, source.probe()) as stream:
        stream.readinto(memoryview(bytearray(100)))
    assert not [thread for thread in threading.enumerate() if thread.name == "source-range"]
    assert server.body_bytes <= 6 * range_size(len(body()), 4)


def test_a_broken_connection_heals_and_fetches_only_its_rest(server: FaultyHttp, parallel: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), cut_at=1_234_567, cut_times=2))
    assert fetch(parallel_source(url, parallel)) == body()
    assert server.body_bytes <= len(body()) + 2 * (128 << 10)


def test_a_place_that_never_comes_breaks_off_there(server: FaultyHttp, parallel: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), cut_at=3_000_000, cut_times=99))
    source = parallel_source(url, parallel)
    with source.open(0, source.probe()) as stream:
        kept, error = read_until_broken(stream)
    assert (kept, error.offset) == (body()[:3_000_000], 3_000_000)


def test_a_server_with_a_limit_of_connections_is_served_by_fewer(server: FaultyHttp, parallel: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), busy_above=2, delay_s=0.005))
    assert fetch(parallel_source(url, parallel)) == body()


def test_a_change_under_way_is_seen_by_every_range(server: FaultyHttp, parallel: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), delay_s=0.005))
    source = parallel_source(url, parallel)
    with source.open(0, source.probe()) as stream:
        stream.readinto(memoryview(bytearray(100)))
        server.change("/x", etag='"v2"', modified="Wed, 04 Nov 2026 08:00:00 GMT")
        with pytest.raises(SourceChanged):
            read(stream)


def test_servers_that_differ_under_way_are_gone_on_with_over_one_connection(
    server: FaultyHttp, parallel: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sources.http.trial._WORTH", 0.0)  # several connections, however busy the machine is
    url = server.serve("/x", Faults(content=body(), delay_s=0.005, block_delay_s=0.001))
    source = open_plain(url, parallel.model_copy(update={"parallel_round_trip_s": 0.0}))
    assert isinstance(source, HttpSource)
    info = source.probe()
    with source.open(0, info) as stream:
        kept = bytearray(1 << 20)
        assert stream.readinto(memoryview(kept)[:100]) == 100
        server.change("/x", etag='"of another mirror"')
        more, error = read_until_broken(stream)
    assert "other ETags" in str(error)
    with source.open(100 + len(more), info) as stream:
        assert bytes(kept[:100]) + more + read(stream) == body()
    assert source.connections == 1


def test_a_distant_server_is_tried_and_the_bytes_are_right_either_way(server: FaultyHttp, with_: Change) -> None:
    for delay in (0.0, 0.03):
        url = server.serve("/x", Faults(content=body(), delay_s=delay, block_delay_s=0.0005))
        assert fetch(open_source(url, with_(parallel_round_trip_s=0.0))) == body()
        source = open_source(url, with_(parallel_round_trip_s=0.0))
        with source.open(1_000_003, source.probe()) as stream:
            assert read(stream) == body()[1_000_003:]


def test_connections_pay_where_one_is_held_back_and_not_where_round_trips_are() -> None:
    assert parallel_pays(10e6, 0.05, 4, 1700 << 10)
    assert not parallel_pays(160e6, 0.025, 4, 256 << 10)
    assert not parallel_pays(1e6, 10.0, 4, 256 << 10)


def test_what_is_in_flight_stays_below_one_percent_and_32_mib() -> None:
    for connections in (2, 4, 8, 16):
        for size in (1 << 30, 10 << 30, 1 << 40):
            flying = (connections + 1) * range_size(size, connections)
            assert flying <= min(MAX_IN_FLIGHT, size // 100)
