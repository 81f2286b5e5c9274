"""Bytes straight from the storages: exact, in parts, by whoever sees the image; and what a slow or greedy client can do: nothing."""

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Image, ReplicaStatus
from tasks.images.export import export
from tests.console.api.v1.people import service
from tests.flows.managed import MIB, blank, opened, placed, register, saved

Headers = Mapping[str, dict[str, str]]
API = "/api/v1"
DATA = os.urandom(3 * MIB) + bytes(5 * MIB) + os.urandom(MIB + 17)


@pytest.fixture
def image(people: Headers) -> Image:
    return placed(DATA, owner="team", name="ci-disk")


def content(api: TestClient, image: Image, headers: dict[str, str], **more: str) -> object:
    return api.get(f"{API}/images/{image.id}/content", headers={**headers, **more})


def test_the_exact_bytes_with_their_digests_and_name(api: TestClient, people: Headers, image: Image) -> None:
    answer = api.get(f"{API}/images/{image.id}/content", headers=people["viewer"])
    sha256 = hashlib.sha256(DATA)
    assert (answer.status_code, answer.content == DATA) == (200, True)
    assert answer.headers["etag"] == f'"sha256:{sha256.hexdigest()}"'
    assert f"sha-256=:{base64.b64encode(sha256.digest()).decode()}:" in answer.headers["repr-digest"]
    assert answer.headers["content-disposition"].startswith('attachment; filename="ci-disk-v1.raw"')
    head = api.head(f"{API}/images/{image.id}/content", headers=people["viewer"])
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(DATA)), b"")
    part = api.get(f"{API}/images/{image.id}/content", headers={**people["user"], "Range": "bytes=3145700-3145800"})
    assert (part.status_code, part.content) == (206, DATA[3145700:3145801])


def test_extents_say_what_need_not_be_fetched(api: TestClient, people: Headers, image: Image) -> None:
    extents = api.get(f"{API}/images/{image.id}/extents", headers=people["viewer"]).json()
    assert [extent["start"] for extent in extents] == [0, *(e["start"] + e["length"] for e in extents[:-1])]
    assert sum(extent["length"] for extent in extents) == len(DATA)
    holes = [extent for extent in extents if not extent["data"]]
    assert sum(hole["length"] for hole in holes) > 4 * MIB
    for hole in holes:
        assert not any(DATA[hole["start"] : hole["start"] + hole["length"]])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(DATA) - 1), st.integers(0, 2 * MIB))
def test_any_part_is_read_right(api: TestClient, people: Headers, image: Image, start: int, length: int) -> None:
    asked = {**people["user"], "Range": f"bytes={start}-{start + length}"}
    answer = api.get(f"{API}/images/{image.id}/content", headers=asked)
    assert (answer.status_code, answer.content == DATA[start : start + length + 1]) == (206, True)


def test_an_export_is_what_was_proven_or_an_error(api: TestClient, people: Headers, image: Image) -> None:
    made = export.fn(image.id, "team", None, None)
    answer = api.get(f"{API}/exports/{made.id}/content", headers=people["viewer"])
    assert (answer.content == DATA, answer.headers["etag"]) == (True, f'"sha256:{made.sha256}"')
    with Path(made.path).open("r+b") as file:
        file.write(b"changed")
    changed = api.get(f"{API}/exports/{made.id}/content", headers=people["viewer"])
    assert (changed.status_code, changed.json()["type"]) == (409, "DigestMismatch")


def test_an_image_that_is_not_whole_has_no_bytes_yet(api: TestClient, people: Headers) -> None:
    image = saved(blank(owner="team", status="Downloading"))
    answer = api.get(f"{API}/images/{image.id}/content", headers=people["viewer"])
    assert (answer.status_code, answer.json()["type"], answer.json()["error_status"]) == (
        409,
        "IllegalTransition",
        "Downloading",
    )


def test_damage_is_never_handed_out_and_another_storage_helps(people: Headers, tmp_path: object, home: object) -> None:

    register("far", Path(str(tmp_path)) / "far")
    image = placed(DATA, storages=("default", "far"), owner="team")
    for pack in (Path(str(home)) / "imagestore" / "packs").rglob("*"):
        if pack.is_file():
            raw = bytearray(pack.read_bytes())
            raw[len(raw) // 3 : len(raw) // 3 + 64] = os.urandom(64)
            pack.chmod(0o600)
            pack.write_bytes(raw)
    with service(raise_server_exceptions=False) as api:
        answer = api.get(f"{API}/images/{image.id}/content", headers=people["viewer"])
        assert (answer.status_code, answer.content == DATA) == (200, True)
        with open_catalog() as catalog, catalog.changing("admin") as change:
            replica = change.replica(image.id, "far")
            change.save_replica(replica.model_copy(update={"status": ReplicaStatus.DAMAGED}))
        alone = api.get(f"{API}/images/{image.id}/content", headers=people["viewer"])
        assert alone.status_code != 200 or alone.content != DATA
        assert alone.content in (b"", DATA[: len(alone.content)]) or alone.headers["content-type"].startswith(
            "application/problem"
        )


def test_readers_are_shared_and_few_stay_open(people: Headers, home: object) -> None:
    images = [placed(os.urandom(1000), owner="team") for _ in range(12)]
    with service() as api:
        for image in images:
            for _ in range(2):
                assert api.get(f"{API}/images/{image.id}/content", headers=people["user"]).status_code == 200
        readers = next(route.app.state.readers for route in api.app.routes if getattr(route, "path", "") == API)  # type: ignore[attr-defined]
        assert len(readers._open) <= 8
        assert not any(one.users for one in readers._open.values())
    assert opened() is not None
