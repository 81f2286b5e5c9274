"""An S3 server that fails, throttles, hangs up and loses answers: an add completes, or fails clean and is resumed."""

import random
from pathlib import Path
from uuid import uuid4

import pytest

from catalog.errors import DigestMismatch, StorageError, StorageRefused, StorageUnavailable
from storage.imagestore.objects import retrying
from storage.imagestore.objects.s3 import S3Objects
from storage.imagestore.objects.s3_connection import S3Connection
from tests.services.faulty_s3 import Fault, Plan, faulty_s3
from tests.services.s3 import server
from tests.storage.stores import add, image_store

DATA = random.Random(1).randbytes(400_000)


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
