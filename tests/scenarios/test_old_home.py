"""A home that version 0.1.0 made opens as it is: its images export with their digests, an add that was killed goes on.

`tests/data/home-0.1.0.tar.gz` was made by that version's command: three images (raw, qcow2, vmdk kept as qcow2), one of them
exported, one image in the recycle bin, and an add from http://127.0.0.1:20391/slow.raw that was killed on its way.
"""

import hashlib
import os
import sqlite3
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.records import ExportedImage, Image, ImageStatus
from catalog.store.tables import SCHEMA
from flows.requests import AddSystemImage, ExportImage, RecoverImage

pytestmark = pytest.mark.prefect
ARCHIVE = Path(__file__).parents[1] / "data" / "home-0.1.0.tar.gz"
BEFORE = "/tmp/imagewright-0.1"
PORT = 20391
RAW, QCOW2, VMDK, BINNED, INTERRUPTED = (
    "e91cfd6c-9c3d-4e56-b138-6f0bee3116d0", "9a839d5e-ca9d-4d4a-9e53-3015ab519f1a", "0901f0eb-e623-4083-b14f-5484efdb2bfe",
    "d3be2922-49ec-4b02-9999-51f56d7ce9d8", "6aa9b954-a1d5-4eba-a33a-12c127abb9c3",
)  # fmt: skip
MIB = 256  # pages of 4 KiB


@pytest.fixture
def old(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the old home, unpacked here: the catalog has paths of the place where it was made."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "old", filter="data")
    place = tmp_path / "old" / "home"
    with sqlite3.connect(place / "catalog.db") as database:
        for table, column in (("image_storages", "url"), ("primary_storages", "url"), ("exported_images", "path"),
                              ("exported_images", "url")):  # fmt: skip
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (BEFORE, str(tmp_path / "old")))
        database.execute("UPDATE leases SET holder = replace(holder, '@vm:', ?)", (f"@{os.uname().nodename}:",))
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(place))
    return place


def disk(seed: int, mib: int) -> bytes:
    """Return the disk that was added: an MBR with one partition, and pages that compress well."""
    pages = bytearray()
    for page in range(mib * MIB):
        word = b"%08x" % (page * 2654435761 + seed & 0xFFFFFFFF)
        pages += word * 2 + bytes([(page * 7 + seed) % 251 + 1]) * 4080
    pages[:512] = bytes(512)
    entry = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + (64).to_bytes(4, "little") + (mib * 2048 - 64).to_bytes(4, "little")
    pages[446:462], pages[510:512] = entry, b"\x55\xaa"
    return bytes(pages)


@contextmanager
def upstream(content: bytes) -> Iterator[None]:
    """Serve the file that the killed add was fetching, at the address that it has in the catalog."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(content)), len(content) - 1)
            self.send_response(206 if "Range" in self.headers else 200)
            for name, value in {
                "ETag": '"0123456789abcdef"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "Accept-Ranges": "bytes",
                "Content-Range": f"bytes {start}-{end}/{len(content)}", "Content-Length": str(end - start + 1),
            }.items():  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[start : end + 1])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", PORT), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def exported(image_id: str) -> ExportedImage:
    from flows import export_image

    made = export_image(ExportImage(image_id=image_id))
    assert isinstance(made, ExportedImage)
    return made


def test_an_old_home_opens_and_its_images_export_with_their_digests(old: Path) -> None:
    with open_catalog() as catalog:
        images = {image.id: image for image in catalog.images()}
        binned = [image.id for image in catalog.bin()]
        assert catalog.verify_events() > 0
    assert {i.status for i in images.values() if i.id != INTERRUPTED} == {ImageStatus.READY}
    assert (set(images), binned) == ({RAW, QCOW2, VMDK, INTERRUPTED}, [BINNED])
    for image_id in (RAW, QCOW2):
        made = exported(image_id)
        assert hashlib.md5(Path(made.path).read_bytes()).hexdigest() == made.md5 == images[image_id].md5
    assert Path(exported(RAW).path).read_bytes() == disk(1, 2)
    assert exported(VMDK).format == "qcow2"
    with sqlite3.connect(old / "catalog.db") as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == (SCHEMA,)


def test_what_is_in_its_bin_is_recovered(old: Path) -> None:
    from flows import recover_image

    (image,) = recover_image(RecoverImage(image_ids=(BINNED,)))
    assert isinstance(image, Image)
    assert image.status is ImageStatus.READY
    assert Path(exported(BINNED).path).read_bytes() == disk(1, 2)


def test_an_add_that_was_killed_under_the_old_version_goes_on(old: Path) -> None:
    from flows import add_system_image

    content = disk(9, 24)
    with upstream(content):
        image = add_system_image(
            AddSystemImage(
                name="interrupted",
                image_format="raw",
                image_path=f"http://127.0.0.1:{PORT}/slow.raw",
                image_id=INTERRUPTED,
            )
        )
    assert isinstance(image, Image)
    assert (image.status, image.md5) == (ImageStatus.READY, hashlib.md5(content).hexdigest())
    assert Path(exported(INTERRUPTED).path).read_bytes() == content
    assert not list((old / "imagestore" / "landings").glob("*/*"))
