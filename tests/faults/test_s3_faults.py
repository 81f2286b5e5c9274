"""An S3 server that fails, throttles, hangs up and loses answers: an add completes, or fails clean and is resumed."""

import random
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from catalog.errors import DigestMismatch, StaleLanding, StorageError, StorageRefused, StorageUnavailable
from storage.imagestore.objects import retrying, s3
from storage.imagestore.objects.s3 import S3Objects
from storage.imagestore.objects.s3_connection import S3Connection
from storage.protocols import Landing, SourceInfo
from tests.services.faulty_s3 import Fault, Plan, faulty_s3
from tests.services.s3 import server
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import add, image, image_store, land

DATA = random.Random(1).randbytes(400_000)
INFO = SourceInfo(url="test:", size_bytes=len(DATA), resumable=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_DELAY_S", 0.005)


def opened(endpoint: str, prefix: str, **changes: object) -> S3Objects:
    address = server().address(prefix).model_copy(update={"endpoint": endpoint, **changes})
    return S3Objects(S3Connection(address))


def sometimes(fault: Fault, every: int) -> Plan:
    return lambda number, _method, _path: fault if number % every == every - 1 else "none"


@pytest.mark.parametrize("fault", ["500", "503", "drop", "lose answer", "slow", "cut body"])
def test_an_add_and_a_read_get_through_a_failing_server(fault: Fault, tmp_path: Path) -> None:
    prefix = uuid4().hex
    with faulty_s3(server().endpoint, sometimes(fault, 4)) as proxy:
        storage = image_store(opened(proxy.endpoint, prefix))
        replica = add(storage, DATA)
        storage.export(replica.image_id, tmp_path / "out", lambda _done, _all: None)
        assert (tmp_path / "out").read_bytes() == DATA
        assert proxy.requests > 20
    direct = image_store(opened(server().endpoint, prefix))
    assert direct.open(replica.image_id).read_at(0, len(DATA)) == DATA
    assert len(list(direct.images())) == 1


def test_a_created_object_whose_answer_was_lost_counts_as_created() -> None:
    def lose_first_put(number: int, method: str, _path: str) -> Fault:
        return "lose answer" if method == "PUT" and number == 0 else "none"

    with faulty_s3(server().endpoint, lose_first_put) as proxy:
        objects = opened(proxy.endpoint, uuid4().hex)
        assert objects.create("once", b"mine")
        assert not objects.create("once", b"theirs")


def test_a_server_that_stays_down_ends_in_one_error_and_is_gone_on_with_later() -> None:
    prefix = uuid4().hex
    down = False

    def plan(_number: int, _method: str, _path: str) -> Fault:
        return "drop" if down else "none"

    with faulty_s3(server().endpoint, plan) as proxy:
        storage = image_store(opened(proxy.endpoint, prefix))
        down = True
        with pytest.raises(StorageUnavailable) as failure:
            add(storage, DATA, "image")
        assert failure.value.retryable
        down = False
        add(storage, DATA, "image")
        assert storage.open("image").read_at(0, len(DATA)) == DATA


@pytest.mark.parametrize("fault", ["drop", "lose answer"])
def test_packs_that_stay_unsent_make_no_image_and_what_was_sent_is_kept(fault: Fault) -> None:
    prefix, packs, down = uuid4().hex, set[str](), True

    def plan(_number: int, method: str, path: str) -> Fault:
        if down and method == "PUT" and "/packs/" in path:
            packs.add(path)
            return "none" if len(packs) == 1 else fault
        return "none"

    with faulty_s3(server().endpoint, plan) as proxy:
        storage = image_store(opened(proxy.endpoint, prefix))
        landing = storage.landing("image")
        landing.begin(INFO)
        with pytest.raises(StorageUnavailable):
            _complete(landing, memoryview(DATA))
        with pytest.raises(StaleLanding):
            storage.publish("image", image("image"), land(image_store(MemoryObjects()), "l", DATA))
        with suppress(StorageUnavailable):
            landing.close()
        assert not storage.contains("image")
        assert len(packs) > 1
        down = False
        again, kept = storage.landing("image"), bytearray()
        offset = again.restore(kept.extend)
        assert kept == DATA[:offset]
        _complete(again, memoryview(DATA)[offset:])
        again.close()
        storage.publish("image", image("image"), land(image_store(MemoryObjects()), "l", DATA))
        assert storage.open("image").read_at(0, len(DATA)) == DATA


def test_many_objects_go_with_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MOST_DELETED", 3)
    asked: list[str] = []

    def note(_number: int, method: str, _path: str) -> Fault:
        asked.append(method)
        return "503" if method == "POST" and asked.count("POST") == 1 else "none"

    with faulty_s3(server().endpoint, note) as proxy:
        objects = opened(proxy.endpoint, uuid4().hex)
        objects.put("other", b"x")
        for number in range(7):
            objects.append("log", bytes([number]))
        asked.clear()
        objects.delete("log")
        assert asked == ["GET", *["POST"] * 4]  # eight names, one of them nobody's; the first request again
        assert [info.name for info in objects.list("")] == ["other"]


def test_an_object_that_is_not_deleted_is_an_error() -> None:
    def locked(_number: int, method: str, _path: str) -> Fault:
        return "delete nothing" if method == "POST" else "none"

    with faulty_s3(server().endpoint, locked) as proxy:
        objects = opened(proxy.endpoint, uuid4().hex)
        objects.append("log", b"1")
        with pytest.raises(StorageRefused, match="it is locked"):
            objects.delete("log")


def test_a_truncated_pack_is_named_chip_by_chip() -> None:
    objects = opened(server().endpoint, uuid4().hex)
    storage = image_store(objects)
    add(storage, DATA, "image")
    pack = max(objects.list("packs/"), key=lambda info: info.size_bytes)  # names are random, and the last pack is small
    objects.put(pack.name, objects.get(pack.name, 0, pack.size_bytes // 2))
    damaged = [item.subject for item in storage.verify("image")[0].items]
    assert damaged
    with pytest.raises(DigestMismatch, match=pack.name):
        storage.open("image").read_at(int(damaged[-1].partition("@")[2]), 1)


def test_wrong_credentials_are_refused_at_once() -> None:
    with pytest.raises(StorageError) as failure:
        image_store(opened(server().endpoint, uuid4().hex, secret="wrong" * 8))
    assert isinstance(failure.value, StorageRefused)
    assert "wrong" not in str(failure.value)


def test_connections_are_bound_to_the_source_address() -> None:
    objects = opened(server().endpoint, uuid4().hex, source_address="127.0.0.9")
    objects.put("a", b"x")
    assert objects.get("a") == b"x"
    absent = opened(server().endpoint, uuid4().hex, source_address="192.0.2.1")
    with pytest.raises(StorageUnavailable):
        absent.put("a", b"x")


def _complete(landing: Landing, rest: memoryview) -> None:
    landing.write(rest)
    landing.finish()
