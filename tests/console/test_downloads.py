"""Downloads: named after the image, and handed out only for as long as they are what was proven."""

import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import ExportedImage, Image
from catalog.settings import load_settings
from console.app import create_app
from console.transfers.downloads import disposition
from tasks.images.export import export
from tests.flows.managed import MIB, placed
from tests.services.process import free_port

OURS = {"X-Imagewright": "1"}


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(load_settings()), base_url="http://127.0.0.1") as client:
        yield client


def exported(image: Image) -> ExportedImage:
    return export.fn(image.id, "admin", None, None)


def linked(client: "TestClient | httpx.Client", made: ExportedImage) -> str:
    answer = client.post(f"/api/exports/{made.id}/link", headers=OURS)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"])


def rewrite(path: str) -> None:
    """Change a file in its size, with the times of before as well as they can be set."""
    before = Path(path).stat()
    Path(path).write_bytes(os.urandom(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_download_is_named_after_image_version_and_format(client: TestClient) -> None:
    made = exported(placed(name="Debian 12 (漢)"))
    url = linked(client, made)
    header = client.get(url).headers["content-disposition"]
    assert header == (
        "attachment; filename=\"Debian 12 (_)-v1.raw\"; filename*=UTF-8''Debian%2012%20%28%E6%BC%A2%29-v1.raw"
    )
    assert client.get(f"{url}.md5").text == f"{made.md5}  Debian 12 (漢)-v1.raw\n"
    assert ">Debian 12 (漢)-v1.raw<" in client.get("/table?tab=exports").text


def test_an_export_that_was_named_after_its_storage_is_offered_by_its_images_name(client: TestClient) -> None:
    image = placed(name="old one")
    made = exported(image)
    older = made.model_copy(update={"path": str(Path(made.path).with_name("default.raw"))})
    Path(made.path).rename(older.path)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_export(older)
    assert 'filename="old one-v1.raw"' in client.get(linked(client, older)).headers["content-disposition"]
    assert "old one-v1.raw" in client.get(f"/images/{image.id}").text


@pytest.mark.parametrize("name", ['a"; filename="evil.exe', "a\r\nSet-Cookie: x=1", "a%20b", "a\\b", "é漢"])
def test_a_hostile_name_stays_inside_its_header(name: str) -> None:
    header = disposition(name)
    assert re.fullmatch(r"attachment; filename=\"[^\"\\\r\n%]*\"; filename\*=UTF-8''[A-Za-z0-9%._~-]+", header), header


def test_a_file_that_was_changed_is_not_handed_out_under_the_old_digests(client: TestClient) -> None:
    made = exported(placed())
    url = linked(client, made)
    rewrite(made.path)
    for answer in (client.get(url), client.get(url), client.get(f"{url}.md5")):
        assert (answer.status_code, "export the image again" in answer.text) == (409, True)
    assert client.post(f"/api/exports/{made.id}/link", headers=OURS).status_code == 409


def test_a_file_that_was_only_touched_is_handed_out_and_proven_once(client: TestClient) -> None:
    made = exported(placed())
    url = linked(client, made)
    os.utime(made.path)
    assert client.get(url).content == Path(made.path).read_bytes()
    with open_catalog() as catalog:
        assert catalog.exported(made.id).proven not in (None, made.proven)


def fetch_while_it_changes(client: httpx.Client, url: str, path: Path, received: bytearray) -> None:
    """Download, and change the end of the file when its first part has come."""
    with client.stream("GET", url) as answer:
        assert answer.status_code == 200
        for part in answer.iter_raw():
            if not received:
                with path.open("r+b") as file:
                    file.seek(60 * MIB)
                    file.write(b"changed")
            received += part


def test_a_download_of_a_file_that_changes_meanwhile_ends_with_an_error(home: Path) -> None:
    made = exported(placed(os.urandom(64 * MIB)))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create_app(load_settings()), "127.0.0.1", port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    received = bytearray()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            url = linked(client, made)
            with pytest.raises(httpx.RemoteProtocolError):
                fetch_while_it_changes(client, url, Path(made.path), received)
    finally:
        server.should_exit = True
        thread.join(30)
    assert len(received) < made.size_bytes
