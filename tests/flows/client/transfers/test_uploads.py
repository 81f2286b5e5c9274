"""Files that are sent: from where they broke off, as they were when they began, and for one's own account only.

The service has no Prefect server here: what is whole waits there. The adds themselves are in `tests/scenarios/test_from_afar.py`.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from catalog.errors import ImagewrightError, InvalidRequest, NotAllowed, TransferInterrupted
from catalog.records import Image, ImageStatus
from catalog.settings import load_settings
from flows.client import Client
from flows.client.errors import RunFailed, ServiceRefused
from flows.client.transfers import tus, uploads
from storage.uploads import Upload, Uploads
from tests.flows.managed import MIB, blank, placed, saved
from tests.services.proxy import proxy
from tests.services.service import Service

pytestmark = pytest.mark.xdist_group("client")

DATA = os.urandom(6 * MIB + 7)
ASKED = {"name": "sent", "image_format": "raw"}


@pytest.fixture(autouse=True)
def quick(served: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(uploads, "BEGINS_WITHIN_S", 0.0)
    monkeypatch.setattr(tus, "PIECE_BYTES", MIB)
    monkeypatch.setenv("IMAGEWRIGHT_RETRIES", "1")
    yield
    for upload in Uploads(load_settings()).all():
        Uploads(load_settings()).discard(upload.id)
    shutil.rmtree(served.home / "sending", ignore_errors=True)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    file = tmp_path / "disk.raw"
    file.write_bytes(DATA)
    return file


def there(served: Service) -> dict[str, Upload]:
    return {upload.id: upload for upload in Uploads(load_settings()).all()}


def sent(client: Client, disk: Path, **more: object) -> object:
    return client.upload(disk, "add-volume-image", {**ASKED, **more})


def test_a_file_is_sent_whole_for_the_account_of_who_sends_it(served: Service, user: Client, disk: Path) -> None:
    before = there(served).keys()
    shown: list[tuple[int, int | None, str]] = []
    with pytest.raises(ServiceRefused, match="the file is there whole"):
        user.upload(disk, "add-volume-image", ASKED, moved=lambda *told: shown.append(told))
    (new,) = there(served).keys() - before
    upload = there(served)[new]
    assert (upload.owner, upload.flow, upload.filename) == ("team", "add_volume_image", "disk.raw")
    assert Uploads(load_settings()).data(new).read_bytes() == DATA
    assert shown[-1] == (len(DATA), len(DATA), "sending")
    placed(DATA, id=new, owner="team")  # what the run would have made of it
    assert isinstance(found := sent(user, disk), Image)
    assert found.id == new


def test_what_broke_off_goes_on_with_the_same_upload(
    served: Service, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = there(served).keys()
    with proxy(served.port) as between:
        address = f"http://127.0.0.1:{between.port}"
        between.cut_sending_after = 3 * MIB + MIB // 2
        monkeypatch.setenv("IMAGEWRIGHT_RETRIES", "0")
        broken = pytest.raises(TransferInterrupted, match="goes on from there")
        with Client(address, served.tokens["user"]) as client, broken:
            client.upload(disk, "add-volume-image", ASKED)
        (new,) = there(served).keys() - before
        kept = Uploads(load_settings()).offset(new)
        assert 2 * MIB < kept < len(DATA)
        shown: list[int] = []
        monkeypatch.setenv("IMAGEWRIGHT_RETRIES", "1")
        with Client(address, served.tokens["user"]) as client, pytest.raises(ServiceRefused, match="whole"):
            client.upload(disk, "add-volume-image", ASKED, moved=lambda done, *_: shown.append(done))
    assert min(shown) > 2 * MIB
    assert there(served).keys() - before == {new}
    assert Uploads(load_settings()).data(new).read_bytes() == DATA


def test_other_words_or_another_file_are_another_upload(served: Service, user: Client, disk: Path) -> None:
    before = there(served).keys()
    for more in ({}, {"description": "other words"}):
        with pytest.raises(ServiceRefused):
            sent(user, disk, **more)
    disk.write_bytes(DATA + b"more")
    with pytest.raises(ServiceRefused):
        sent(user, disk)
    assert len(there(served).keys() - before) == 3


def test_a_run_that_the_service_begins_later_is_the_one_that_is_watched(
    served: Service, user: Client, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = str(uuid4())

    def begun(_seconds: float) -> None:
        for upload in there(served).values():
            Uploads(load_settings()).begin_run(upload.id, run)

    monkeypatch.setattr(uploads, "BEGINS_WITHIN_S", 100.0)
    monkeypatch.setattr(uploads, "time", SimpleNamespace(monotonic=time.monotonic, sleep=begun))
    with pytest.raises(ImagewrightError, match="Prefect server"):  # which nobody serves here: how it went is not told
        sent(user, disk)
    (note,) = (served.home / "sending").glob("*.json")
    assert json.loads(note.read_text())["run"] == run


def test_a_file_that_changes_meanwhile_is_no_image(served: Service, user: Client, disk: Path) -> None:
    before = there(served).keys()

    def change(done: int, _total: int | None, _step: str) -> None:
        if done > 2 * MIB:
            with disk.open("r+b") as file:
                file.write(b"changed")

    with pytest.raises(InvalidRequest, match="stays as it is"):
        user.upload(disk, "add-volume-image", ASKED, moved=change)
    assert there(served).keys() == before
    assert list((served.home / "sending").glob("*")) == []


def test_what_is_not_as_it_was_announced_is_refused_with_its_first_piece(
    served: Service, user: Client, disk: Path
) -> None:
    before, shown = there(served).keys(), list[int]()
    with pytest.raises(ImagewrightError, match="declared qcow2, but the bytes are raw"):
        user.upload(
            disk, "add-volume-image", {**ASKED, "image_format": "qcow2"}, moved=lambda done, *_: shown.append(done)
        )
    assert max(shown) < 2 * MIB
    assert there(served).keys() == before


def test_an_add_that_fails_keeps_what_was_sent_for_another_one(served: Service, user: Client, disk: Path) -> None:
    with pytest.raises(ServiceRefused):
        sent(user, disk)
    (new,) = there(served)
    saved(blank(id=new, owner="team", status=ImageStatus.ERROR, error="no room"))
    with pytest.raises(RunFailed, match="no room"):
        sent(user, disk)
    shown: list[int] = []
    with pytest.raises(
        ImagewrightError, match="the Prefect server does not answer"
    ):  # a run was asked for, and nothing sent
        user.upload(
            disk, "add-volume-image", {**ASKED, "description": "again"}, moved=lambda done, *_: shown.append(done)
        )
    assert (shown, list(there(served))) == ([], [new])


@pytest.mark.parametrize("who", ["viewer", "other"])
def test_others_send_nothing_into_an_upload(served: Service, user: Client, disk: Path, who: str) -> None:
    with pytest.raises(ServiceRefused):
        sent(user, disk)
    (new,) = there(served)
    with Client(served.url, served.tokens[who]) as client:
        path = f"/uploads/{new}"
        for method in ("HEAD", "DELETE"):
            with pytest.raises(ImagewrightError):
                client.connection.ask(method, path, headers=tus.TUS)
        if who == "viewer":
            with pytest.raises(NotAllowed):
                sent(client, disk, description="mine")
    assert list(there(served)) == [new]


def test_a_file_that_is_sent_takes_the_id_of_its_upload(user: Client, disk: Path) -> None:
    with pytest.raises(InvalidRequest, match="image_id: 'x' is not allowed; leave it out"):
        sent(user, disk, image_id="x")


def test_a_way_that_breaks_again_and_again_is_gone_on_with_while_something_comes(
    served: Service, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_RETRIES", "2")
    with proxy(served.port) as between, Client(f"http://127.0.0.1:{between.port}", served.tokens["user"]) as client:
        cut_at = [1, 2, 3, 4, 5]

        def cut(done: int, _total: int | None, _step: str) -> None:
            if cut_at and done > cut_at[0] * MIB + MIB // 2:
                cut_at.pop(0)
                between.cut()

        with pytest.raises(ServiceRefused, match="whole"):
            client.upload(disk, "add-volume-image", ASKED, moved=cut)
        (new,) = there(served)
        assert (cut_at, Uploads(load_settings()).data(new).read_bytes() == DATA) == ([], True)


@pytest.mark.parametrize("name", ["none.raw", "", "empty.raw"])
def test_what_is_no_file_is_one_sentence(user: Client, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.raw").touch()
    with pytest.raises(InvalidRequest):
        sent(user, tmp_path / name)
