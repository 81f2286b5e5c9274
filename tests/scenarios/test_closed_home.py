"""Nobody else on the machine reads what is kept: a home after a day's work, walked file by file."""

import hashlib
import json
import os
import random
import sqlite3
import stat
import time
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from catalog import open_catalog
from catalog.errors import ImageNotFound
from tests.console.tus import creation, piece
from tests.services.images import tiny_disk
from tests.services.payload import payload
from tests.services.process import find
from tests.services.serving import Serving
from tests.services.signed import basic

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(900)]


@payload
def content() -> bytes:
    return random.Random(5).randbytes(2 << 20)


def done(served: Serving, *words: str) -> dict[str, str]:
    """Run a command that has to succeed."""
    ran = served.command(*words, "--json")
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    return answer if isinstance(answer, dict) else {}


def add_and_export(served: Serving) -> None:
    file = served.home.parent / "data.raw"
    file.write_bytes(content())
    words = ("--name", "data", "--image-format", "raw", "--image-path", file.as_uri())
    image = done(served, "add-volume-image", *words)
    exported = done(served, "export-image", "--image-id", image["id"], "--image-format", "qcow2")
    assert Path(exported["path"]).exists()
    done(served, "create-volume", "--image-id", image["id"], "--name", "disk", "--primary-storage", "default")
    with httpx.Client(
        base_url=served.console, headers=basic(served.auth), timeout=60
    ) as client:  # makes the key of links
        ours = {"X-Imagewright": "1"}
        assert client.post(f"/api/exports/{exported['id']}/link", headers=ours).status_code == 200


def upload_half(served: Serving) -> None:
    """Leave an upload in the middle and a link's key."""
    with httpx.Client(base_url=served.console, headers=basic(served.auth), timeout=60) as client:
        place = client.post("/uploads", headers=creation(len(content()), name="sent")).headers["Location"]
        assert client.patch(place, content=content()[: 1 << 20], headers=piece(0)).status_code == 204


def upload_whole(served: Serving) -> None:
    """Have a worker's run add it, in its own processes."""
    with httpx.Client(base_url=served.console, headers=basic(served.auth), timeout=60) as client:
        place = client.post("/uploads", headers=creation(len(content()), name="whole")).headers["Location"]
        assert client.patch(place, content=content(), headers=piece(0)).status_code == 204
    deadline = time.monotonic() + 300
    while state_of(served, place.rpartition("/")[2]) != "Ready":
        assert time.monotonic() < deadline
        time.sleep(0.3)


def state_of(served: Serving, image_id: str) -> str:
    """Return the state of an image, empty while there is none; the command takes a second to load."""
    with suppress(ImageNotFound), open_catalog(f"sqlite:///{served.home}/catalog.db") as catalog:
        return catalog.image(image_id).status
    return ""


def boot(served: Serving) -> None:
    find("qemu-system-x86_64", "qemu-system-x86")
    words = ("--name", "tiny", "--image-format", "raw", "--image-path", tiny_disk("bios").as_uri())
    image = done(served, "add-system-image", *words)
    served.command("boot-check", "--image-id", image["id"])
    assert (served.home / "screenshots" / f"{image['id']}.png").exists()


def open_ones(folder: Path) -> list[str]:
    """Return what others may do something with, sockets and links' targets included."""
    found = []
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & 0o077:
            found.append(f"{path.relative_to(folder)} {stat.filemode(mode)}")
    return found


def test_a_home_after_a_days_work_is_closed_to_the_last_file(served: Serving) -> None:
    add_and_export(served)
    boot(served)
    upload_whole(served)
    upload_half(served)
    with closing(sqlite3.connect(served.home / "catalog.db")) as beside:  # so that its journals are there
        assert beside.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        assert open_ones(served.home) == []
        names = {path.name for path in served.home.rglob("*")}
    assert {"catalog.db", "catalog.db-wal", "catalog.db-shm", "server.json", "server.auth", "console.key", "server.log", "worker.log", "console.log",
            "quality.sock", "store.json", "data", "upload.json"} <= names  # fmt: skip


def test_prefects_database_with_the_requests_is_closed(served: Serving) -> None:
    kept = list((served.home.parent / "prefect").glob("prefect.db*"))
    assert kept
    assert [path.name for path in kept if path.stat().st_mode & 0o077] == []


def test_a_restored_copy_is_what_it_was(served: Serving) -> None:
    """The owner loses nothing by it: an export is read back whole."""
    (path,) = list((served.home / "exports").rglob("*.qcow2"))
    assert path.stat().st_uid == os.geteuid()
    assert hashlib.md5(path.read_bytes()).hexdigest() in served.command("exports", "--json").stdout
