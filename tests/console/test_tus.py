"""The tus server, up to the last byte but one: what is kept, refused and answered."""

import bz2
import gzip
import hashlib
import lzma
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from httpx import Response
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.settings import Settings, load_settings
from console.transfers.upload_pieces import UploadPieces
from console.transfers.upload_routes import UploadRoutes
from storage.uploads import Uploads
from tests.console.operators import as_operators
from tests.console.tus import TUS, creation, metadata, piece
from tests.flows.conftest import qcow2

NESTED = f"flow {b64encode(b'add_volume_image').decode()},request {b64encode(b'[' * 20_000).decode()}"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    monkeypatch.setenv("IMAGEWRIGHT_QUOTA_BYTES", "1000000")
    return load_settings()


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(as_operators(UploadRoutes(settings).routes())) as client:
        yield client


def begun(client: TestClient, length: int = 10) -> str:
    answer = client.post("/uploads", headers=creation(length))
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"])


def test_options_say_what_is_spoken(client: TestClient) -> None:
    answer = client.options("/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {"creation", "expiration", "termination"}


def test_bytes_come_in_pieces(client: TestClient, settings: Settings) -> None:
    place = begun(client)
    assert client.patch(place, content=b"0123", headers=piece(0)).headers["Upload-Offset"] == "4"
    assert client.patch(place, content=b"45", headers=piece(4)).status_code == 204
    answer = client.head(place, headers=TUS)
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("6", "10")
    assert (answer.headers["Cache-Control"], answer.headers["Tus-Resumable"]) == ("no-store", "1.0.0")
    assert "GMT" in answer.headers["Upload-Expires"]
    assert Uploads(settings).data(place.rpartition("/")[2]).read_bytes() == b"012345"


def test_what_is_kept_tells_another_file(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_QUOTA_BYTES", "0")
    content = bytes(range(256)) * (3 << 12)  # 3 MiB
    both = as_operators([*UploadRoutes(settings).routes(), *UploadPieces(settings).routes()])
    with TestClient(both) as client:
        upload_id = begun(client, len(content)).rpartition("/")[2]
        place = f"/api/uploads/{upload_id}/kept"
        assert client.get(place).json() == {"pieces": []}
        client.patch(f"/uploads/{upload_id}", content=content[:100], headers=piece(0))
        assert [(p["start"], p["end"]) for p in client.get(place).json()["pieces"]] == [(0, 100)]
        client.patch(f"/uploads/{upload_id}", content=content[100:-1], headers=piece(100))
        pieces = client.get(place).json()["pieces"]
        assert [(p["start"], p["end"]) for p in pieces] == [(0, 1 << 20), ((2 << 20) - 1, (3 << 20) - 1)]
        assert all(hashlib.sha256(content[p["start"] : p["end"]]).hexdigest() == p["sha256"] for p in pieces)
        assert client.get("/api/uploads/x/kept").status_code == 404


def test_a_wrong_offset_changes_nothing(client: TestClient) -> None:
    place = begun(client)
    client.patch(place, content=b"0123", headers=piece(0))
    for offset in (0, 3, 5):
        answer = client.patch(place, content=b"xxx", headers=piece(offset))
        assert (answer.status_code, answer.json()) == (409, {"error": "the next byte is 4; go on from there"})
    assert client.head(place, headers=TUS).headers["Upload-Offset"] == "4"


def test_more_than_was_announced_is_refused(client: TestClient) -> None:
    place = begun(client)
    answer = client.patch(place, content=b"0123456789x", headers=piece(0))
    assert (answer.status_code, "10 were announced" in answer.text) == (422, True)
    assert client.head(place, headers=TUS).headers["Upload-Offset"] == "0"


def test_one_sender_at_a_time(client: TestClient, settings: Settings) -> None:
    place = begun(client)
    with Uploads(settings).appending(place.rpartition("/")[2]):
        assert client.patch(place, content=b"0", headers=piece(0)).status_code == 423


def test_an_upload_can_be_given_up(client: TestClient, settings: Settings) -> None:
    place = begun(client)
    assert client.delete(place, headers=TUS).status_code == 204
    assert client.head(place, headers=TUS).status_code == 404
    assert client.patch(place, content=b"0", headers=piece(0)).status_code == 404
    assert not list(settings.uploads_folder.iterdir())


@pytest.mark.parametrize("name", ["x", "..", "%2e%2e", "%2e%2e%2fconsole.key", "0" * 36])
def test_other_names_are_nothing(client: TestClient, name: str) -> None:
    assert client.head(f"/uploads/{name}", headers=TUS).status_code == 404
    assert client.delete(f"/uploads/{name}", headers=TUS).status_code in (404, 405)


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({}, 412, "only tus 1.0.0"),
        ({"Tus-Resumable": "0.2.2"}, 412, "only tus 1.0.0"),
        ({**TUS, "Upload-Length": "-1"}, 422, "Upload-Length"),
        ({**TUS, "Upload-Length": "\u0661"}, 422, "Upload-Length"),
        ({**TUS, "Upload-Length": "9" * 30}, 422, "Upload-Length"),
        ({**TUS, "Upload-Length": str(1 << 50)}, 422, "at most"),
        ({**TUS, "Upload-Length": "5"}, 422, "flow"),
        ({**TUS, "Upload-Length": "5", "Upload-Metadata": "flow !!!"}, 422, "base64"),
        ({**creation(5), "Upload-Metadata": metadata("delete_image", {})}, 422, "flow"),
        ({**creation(5), "Upload-Metadata": NESTED}, 422, "request"),
        (creation(5, name=" spaced "), 422, "name"),
        (creation(5, nonsense=1), 422, "nonsense"),
        (creation(5, image_format="exe"), 422, "image_format"),
        (creation(0), 422, "not empty"),
        (creation(5, image_storages=["nowhere"]), 422, "nowhere"),
        (creation(2_000_000), 422, "do not fit"),
        (creation(5, "add_system_image", cpu_architecture="aarch64", bios_mode="Legacy"), 422, "UEFI"),
    ],
)  # fmt: skip
def test_what_could_never_be_added_is_refused_before_a_byte_comes(
    client: TestClient, settings: Settings, headers: dict[str, str], status: int, words: str
) -> None:
    sent = {name.encode(): value.encode() for name, value in headers.items()}
    answer = client.post("/uploads", headers=sent)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
    assert not settings.uploads_folder.exists() or not list(settings.uploads_folder.iterdir())


def test_room_is_promised_to_what_still_comes(client: TestClient) -> None:
    place = begun(client, 700_000)
    answer = client.post("/uploads", headers=creation(700_000))
    assert (answer.status_code, "do not fit" in answer.json()["error"]) == (422, True), answer.text
    client.delete(place, headers=TUS)
    begun(client, 700_000)


def test_what_is_refused_for_room_keeps_no_room(client: TestClient, settings: Settings) -> None:
    for _ in range(3):
        assert client.post("/uploads", headers=creation(2_000_000)).status_code == 422
    assert not list(Uploads(settings).all())
    begun(client, 900_000)


def test_a_crowd_of_unfinished_uploads_is_refused(client: TestClient, settings: Settings) -> None:
    answers = [client.post("/uploads", headers=creation(1)).status_code for _ in range(25)]
    assert answers == [201] * settings.uploads_unfinished + [422] * (25 - settings.uploads_unfinished)
    assert client.post("/uploads", headers=creation(1, account="other")).status_code == 201


def send(client: TestClient, data: bytes, length: int = 8 << 20, image_format: str = "raw") -> tuple[str, Response]:
    """Begin an upload and send its first bytes."""
    place = client.post("/uploads", headers=creation(length, image_format=image_format)).headers["Location"]
    return place, client.patch(place, content=data, headers=piece(0))


VHDX = b"vhdxfile" + bytes(1 << 20)
DISK = bytes(range(256)) * 4096 + bytes(64 << 10)  # nobody's signature


@pytest.fixture
def roomy(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("IMAGEWRIGHT_QUOTA_BYTES", "0")
    return client


@pytest.mark.parametrize("size", [64 << 10, 1 << 20, 2 << 20])
def test_what_is_no_disk_of_ours_is_refused_with_its_first_bytes(
    roomy: TestClient, settings: Settings, size: int
) -> None:
    place, answer = send(roomy, VHDX.ljust(size, b"\0")[:size], image_format="raw")
    assert (answer.status_code, "vhdx" in answer.json()["error"].lower()) == (422, True), answer.text
    assert roomy.head(place, headers=TUS).status_code == 404
    assert not list(settings.uploads_folder.iterdir())
    with open_catalog() as catalog:
        assert not list(catalog.reservations())


def test_in_small_pieces_it_is_refused_as_soon_as_it_shows(roomy: TestClient) -> None:
    place = roomy.post("/uploads", headers=creation(8 << 20, image_format="raw")).headers["Location"]
    answers = []
    for start in range(0, 1 << 20, 30_000):
        answers.append(roomy.patch(place, content=VHDX[start : start + 30_000], headers=piece(start)).status_code)
        if answers[-1] != 204:
            break
    assert answers == [204, 204, 422]


def test_a_page_is_no_disk(roomy: TestClient) -> None:
    page = b"<!DOCTYPE html><html><title>Sign in</title>".ljust(2 << 20, b" ")
    _, answer = send(roomy, page, image_format="raw")
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress])
@pytest.mark.parametrize(("said", "right"), [("qcow2", "raw"), ("raw", "qcow2")])
def test_another_format_than_announced_is_said_at_once_and_the_bytes_are_kept(
    roomy: TestClient,
    settings: Settings,
    tmp_path: Path,
    pack: Callable[[bytes], bytes],
    said: str,
    right: str,
) -> None:
    data = pack(qcow2(tmp_path)[: 2 << 20] if right == "qcow2" else DISK)
    place, answer = send(roomy, data, len(data) + 10, image_format=said)
    assert (answer.status_code, f"{right}" in answer.json()["error"]) == (422, True), answer.text
    assert roomy.head(place, headers=TUS).headers["Upload-Offset"] == str(len(data))
    again = roomy.patch(place, content=b"x", headers=piece(len(data)))
    assert (again.status_code, again.json()) == (422, answer.json())  # whoever goes on hears it again
    assert Uploads(settings).offset(place.rpartition("/")[2]) == len(data)


@pytest.mark.parametrize(
    "data",
    [DISK, gzip.compress(DISK, mtime=0), b"\x1f\x8b\x08 cut or damaged" + DISK, DISK[:1000]],
    ids=["raw", "packed", "damaged", "short"],
)
def test_what_may_be_right_comes_in(roomy: TestClient, data: bytes) -> None:
    _, answer = send(roomy, data, image_format="raw")
    assert answer.status_code == 204, answer.text


def test_a_list_next_to_an_upload_is_refused_before_the_bytes(roomy: TestClient) -> None:
    for given in ("sums:", " sums: "):
        answer = roomy.post("/uploads", headers=creation(1 << 20, expected_checksum=given))
        assert (answer.status_code, "list" in answer.json()["error"]) == (422, True), answer.text
