"""Files that are sent for an image storage in S3 lie in its bucket: every host takes pieces of them, resumes them and adds them."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from httpx import Response
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Image, ImageStatus
from catalog.settings import load_settings
from console.app import create_app
from flows.requests import AddVolumeImage
from storage.uploads import Upload, url_of
from storage.uploads.bucket import ROOT
from tasks.add.uploads import sweep_uploads
from tasks.runtime.resources import open_bucket
from tasks.runtime.uploads import open_uploads
from tasks.storages.register_image_storage import register_storage
from tests.console.tus import TUS, creation, piece
from tests.flows.conftest import qcow2
from tests.flows.managed import MIB
from tests.flows.two_hosts import TwoHosts, two_hosts
from tests.services import s3

OURS = {"X-Imagewright": "1"}


def registered(hosts: TwoHosts, endpoint: str, **changes: object) -> None:
    fields = {
        "name": "s3", "kind": "imagestore", "url": f"s3://{s3.BUCKET}/{hosts.root.name}", "endpoint": endpoint,
        "credentials": "env:IMAGEWRIGHT_TEST_S3", "reserve_bytes": 0, "shared": False, **changes,
    }  # fmt: skip
    with hosts.at("a"):
        register_storage.fn(fields, "admin")


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[TwoHosts]:
    monkeypatch.setenv("IMAGEWRIGHT_TEST_S3", f"{s3.KEY}:{s3.SECRET}")
    monkeypatch.setenv("IMAGEWRIGHT_QUALITY_SOCKET", str(request.config.cache.mkdir("quality") / "quality.sock"))
    with two_hosts(tmp_path) as found:
        registered(found, s3.server().endpoint)
        yield found


def console() -> TestClient:
    """Return the console of the host that we are at."""
    return TestClient(create_app(load_settings()), base_url="http://127.0.0.1")


def begun(client: TestClient, length: int) -> str:
    answer = client.post("/uploads", headers=creation(length, image_storages=["s3"]))
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"]).rpartition("/")[2]


def in_bucket() -> list[str]:
    with open_catalog() as catalog:
        return [info.name for info in open_bucket(catalog.image_storage("s3"), load_settings()).list(ROOT)]


def added(upload_id: str) -> Image:
    from flows import add_volume_image

    asked = {"name": "sent", "image_format": "raw", "image_storages": ["s3"]}
    image = add_volume_image(
        AddVolumeImage.model_validate({**asked, "image_id": upload_id, "image_path": url_of(upload_id)})
    )
    assert isinstance(image, Image)
    return image


@pytest.mark.prefect
def test_one_host_takes_half_and_is_gone_and_another_takes_the_rest_and_adds_it(hosts: TwoHosts) -> None:
    data = os.urandom(3 * MIB)
    half = len(data) // 2
    with hosts.at("a"), console() as client:
        upload_id = begun(client, len(data))
        sent = client.patch(f"/uploads/{upload_id}", headers=piece(0), content=data[:half])
        assert (sent.status_code, sent.headers["upload-offset"]) == (204, str(half))
    with open_catalog(hosts.url) as catalog:
        assert (catalog.upload_host(upload_id), catalog.upload_bucket(upload_id)) == (None, "s3")
    with hosts.at("b"), console() as client:
        assert client.head(f"/uploads/{upload_id}", headers=TUS).headers["upload-offset"] == str(half)
        kept = client.get(f"/api/uploads/{upload_id}/kept").json()["pieces"]
        assert [(one["start"], one["end"]) for one in kept] == [(0, MIB), (MIB, half)]
        assert kept[1]["sha256"] == hashlib.sha256(data[MIB:half]).hexdigest()
        assert upload_id in client.get("/table?tab=uploads").text
        last = client.patch(f"/uploads/{upload_id}", headers=piece(half), content=data[half:])
        assert last.status_code == 503, "all of it is kept, though no server takes its add"
        assert not (hosts.home("b") / "uploads" / upload_id).exists()
        image = added(upload_id)
        assert (image.status, image.sha256) == (ImageStatus.READY, hashlib.sha256(data).hexdigest())
        assert in_bucket() == []
        sweep_uploads.fn(plan_only=False)
    with open_catalog(hosts.url) as catalog:
        assert (catalog.upload_bucket(upload_id), list(catalog.reservations())) == (None, [])


def test_what_is_not_as_announced_is_refused_by_its_first_mib_announced_anew_and_goes_on_at_any_host(
    hosts: TwoHosts, tmp_path: Path
) -> None:
    data, far = qcow2(tmp_path, size=4 * MIB)[: 2 * MIB], MIB + 10
    with hosts.at("a"), console() as client:
        upload_id = begun(client, len(data))
        refused = client.patch(f"/uploads/{upload_id}", headers=piece(0), content=data[:far])
        assert (refused.status_code, "announce it" in refused.text) == (422, True)
    with hosts.at("b"), console() as client:
        assert client.head(f"/uploads/{upload_id}", headers=TUS).headers["upload-offset"] == str(far)
        again = client.patch(f"/uploads/{upload_id}", headers=piece(far), content=data[far:])
        assert (again.status_code, again.text) == (422, refused.text)
        said = {"name": "sent", "image_format": "qcow2", "image_storages": ["s3"]}
        corrected = client.post(f"/api/uploads/{upload_id}/add_volume_image", json=said, headers=OURS)
        assert (corrected.status_code, corrected.json()) == (200, {"rest": f"/uploads/{upload_id}"})
    with hosts.at("a"), console() as client:
        assert client.patch(f"/uploads/{upload_id}", headers=piece(far), content=data[far:-1]).status_code == 204
        assert client.delete(f"/uploads/{upload_id}", headers=TUS).status_code == 204
        assert client.head(f"/uploads/{upload_id}", headers=TUS).status_code == 404
        assert in_bucket() == []
    with hosts.at("b"), console() as client:
        assert client.head(f"/uploads/{upload_id}", headers=TUS).status_code == 404
    with open_catalog(hosts.url) as catalog:
        assert (catalog.upload_bucket(upload_id), list(catalog.reservations())) == (None, [])


def test_a_sweep_of_any_host_leaves_what_lives_and_removes_what_expired_or_was_never_promised(hosts: TwoHosts) -> None:
    with hosts.at("a"), console() as client:
        living, expired = begun(client, 10), begun(client, 10)
        client.patch(f"/uploads/{living}", headers=piece(0), content=b"0123")
    old = datetime.now(UTC) - timedelta(days=30)
    with hosts.at("b"):
        uploads = open_uploads(load_settings())
        for upload_id in (expired, "0f8b7c1e-6a54-4f0b-9c1d-2e3f4a5b6c7d"):
            known = uploads.get(living).model_copy(update={"id": upload_id, "created_at": old})
            _write(known)
        assert {item.subject for item in sweep_uploads.fn(plan_only=True).items} == {expired, known.id}
        assert sweep_uploads.fn(plan_only=False).image_storage == "uploads"
        assert [upload.id for upload in uploads.all(everywhere=True)] == [living]
        assert all(living in name for name in in_bucket())
        with open_catalog() as catalog:
            assert [one.subject for one in catalog.reservations()] == [f"image:{living}"]
            assert (catalog.upload_bucket(living), catalog.upload_bucket(expired)) == ("s3", None)


def _write(upload: Upload) -> None:
    with open_catalog() as catalog:
        bucket = open_bucket(catalog.image_storage("s3"), load_settings())
    bucket.put(f"{ROOT}announced/{upload.id}", upload.model_dump_json().encode())


def test_a_folder_that_was_set_for_uploads_takes_all_of_them(hosts: TwoHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_UPLOADS", str(hosts.root / "uploads"))
    with hosts.at("a"), console() as client:
        upload_id = begun(client, 10)
        assert client.patch(f"/uploads/{upload_id}", headers=piece(0), content=b"0123").status_code == 204
        assert (hosts.root / "uploads" / upload_id / "data").read_bytes() == b"0123"
        assert in_bucket() == []


def test_limits_and_quotas_hold_for_buckets(hosts: TwoHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_QUOTA_BYTES", "100")
    monkeypatch.setenv("IMAGEWRIGHT_UPLOADS_UNFINISHED", "2")
    with hosts.at("a"), console() as client:
        begun(client, 60)
        over = client.post("/uploads", headers=creation(60, image_storages=["s3"]))
        assert over.status_code == 422, over.text
        assert len(in_bucket()) == 1, "nothing is left of it"
        begun(client, 10)
    with hosts.at("b"), console() as client:
        many = client.post("/uploads", headers=creation(10, image_storages=["s3"]))
        assert (many.status_code, "2 unfinished uploads" in many.text) == (422, True)
        assert len(in_bucket()) == 2


def _once_back(ask: Callable[[], Response]) -> Response:
    """Return the first answer that is not told to wait: a server that was just started takes writes some seconds later."""
    deadline = time.monotonic() + 60
    while (answer := ask()).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.5)
    return answer


def test_what_was_acknowledged_outlives_a_storage_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_TEST_S3", f"{s3.KEY}:{s3.SECRET}")
    monkeypatch.setattr("storage.imagestore.objects.retrying.FIRST_DELAY_S", 0.001)
    monkeypatch.setattr("storage.uploads.listing.LEFT_OUT_S", 0.0)
    (weed := tmp_path / "weed").mkdir()
    with s3.stoppable(weed) as (server, away), two_hosts(tmp_path / "hosts") as hosts:
        registered(hosts, server.endpoint)
        with hosts.at("a"), console() as client:
            upload_id = begun(client, 10)
            place, programs = f"/uploads/{upload_id}", f"/api/v1/uploads/{upload_id}"
            assert client.patch(place, headers=piece(0), content=b"0123").status_code == 204
            with away():
                answers = [
                    client.patch(place, headers=piece(4), content=b"4567"), client.head(place, headers=TUS),
                    client.post("/uploads", headers=creation(10, image_storages=["s3"])), client.delete(place, headers=TUS),
                    client.get(f"/api{place}/kept"),
                ]  # fmt: skip
                assert [(one.status_code, one.headers.get("retry-after")) for one in answers] == [(503, "5")] * 5
                assert client.head(programs, headers=TUS).status_code == 401
                assert client.get("/table?tab=uploads").status_code == 200
                assert sweep_uploads.fn(plan_only=False).items == ()
            told = _once_back(lambda: client.head(place, headers=TUS))
            assert told.headers["upload-offset"] == "4"
            sent = _once_back(lambda: client.patch(place, headers=piece(4), content=b"4567"))
            assert sent.headers["upload-offset"] == "8"
            with open_catalog() as catalog:
                assert [one.subject for one in catalog.reservations()] == [f"image:{upload_id}"]
