"""Exports of an image in S3 lie in its bucket: each host finds, hands out and deletes what another one made."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.errors import InvalidRequest
from catalog.records import ExportedImage
from catalog.settings import load_settings
from console.app import create_app
from storage.abilities import KeepsExports
from tasks.images.delete_export import delete_export
from tasks.images.export import export
from tasks.images.kept_exports import keeper_of
from tasks.storages.register_image_storage import register_storage
from tests.flows.managed import MIB, placed
from tests.flows.two_hosts import TwoHosts, two_hosts
from tests.services import s3

OURS = {"X-Imagewright": "1"}


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoHosts]:
    monkeypatch.setenv("IMAGEWRIGHT_TEST_S3", f"{s3.KEY}:{s3.SECRET}")
    fields = {
        "name": "s3", "kind": "imagestore", "url": f"s3://{s3.BUCKET}/{tmp_path.name}", "endpoint": s3.server().endpoint,
        "credentials": "env:IMAGEWRIGHT_TEST_S3", "reserve_bytes": 0, "shared": False,
    }  # fmt: skip
    with two_hosts(tmp_path) as found:
        with found.at("a"):
            assert register_storage.fn(fields, "admin").host is None
        yield found


def keeper() -> KeepsExports:
    settings = load_settings()
    with open_catalog() as catalog:
        return keeper_of(catalog, settings, "s3")


def exported(image_id: str, image_format: str | None = None) -> ExportedImage:
    return export.fn(image_id, "admin", None, image_format)  # type: ignore[arg-type]  # a word of the enumeration


def test_each_host_finds_hands_out_and_deletes_what_another_made(hosts: TwoHosts) -> None:
    data = os.urandom(MIB)
    with hosts.at("a"):
        image = placed(data, storages=("s3",), name="x")
        made = exported(image.id)
        converted = exported(image.id, "qcow2")
    assert (made.host, made.path) == (None, f"s3://{s3.BUCKET}/{hosts.root.name}/exports/{image.id}/x-v1.raw")
    assert not list((hosts.home("a") / "exports").rglob("*.raw")), "nothing of it stays on the host that made it"
    with hosts.at("b"):
        assert exported(image.id) == made
        assert exported(image.id, "qcow2") == converted
        with TestClient(create_app(load_settings()), base_url="http://127.0.0.1") as client:
            url = client.post(f"/api/exports/{made.id}/link", headers=OURS).json()["url"]
            whole, part, past = client.get(url), client.get(url, headers={"Range": "bytes=10-19"}), client.head(url)
            none = client.get(url, headers={"Range": f"bytes={MIB}-"})
        assert (whole.status_code, whole.content) == (200, data)
        assert (part.status_code, part.content, part.headers["content-range"]) == (
            206,
            data[10:20],
            f"bytes 10-19/{MIB}",
        )
        assert (past.headers["content-length"], past.content) == (str(MIB), b"")
        assert (none.status_code, none.headers["content-range"]) == (416, f"bytes */{MIB}")
        delete_export.fn(image.id, "admin", None, None)
        assert keeper().export_look(made.path) is None
        with open_catalog() as catalog:
            assert list(catalog.pending()) == []


def test_what_was_replaced_in_the_bucket_is_not_handed_out_and_made_again(hosts: TwoHosts, tmp_path: Path) -> None:
    with hosts.at("a"):
        image = placed(storages=("s3",), name="x")
        made = exported(image.id)
        stray = tmp_path / "stray.raw"
        stray.write_bytes(b"of an export that died")
        keeper().keep_export(image.id, stray)
        other = tmp_path / Path(made.path).name
        other.write_bytes(os.urandom(MIB))
        keeper().keep_export(image.id, other)
    with hosts.at("b"), TestClient(create_app(load_settings()), base_url="http://127.0.0.1") as client:
        assert client.post(f"/api/exports/{made.id}/link", headers=OURS).status_code == 404
        again = exported(image.id)
        assert again.id != made.id
        assert client.post(f"/api/exports/{again.id}/link", headers=OURS).status_code == 200
        assert list(keeper().kept_exports(image.id)) == [again.path], "what nobody recorded is swept"


def test_a_bucket_can_not_be_shared(hosts: TwoHosts) -> None:
    fields = {"name": "s4", "kind": "imagestore", "url": f"s3://{s3.BUCKET}/y", "shared": True}
    with hosts.at("a"), pytest.raises(InvalidRequest, match="only a directory is of one host"):
        register_storage.fn(fields, "admin")
