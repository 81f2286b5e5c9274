"""Uploads: what is kept, who may append, when it is given up; and the source that reads them."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from catalog.errors import InvalidRequest, SourceForbidden, SourceNotFound, UploadBusy, UploadNotFound
from catalog.settings import Settings
from storage.sources import open_source
from storage.uploads import Upload, Uploads, discard_source, url_of

SOME = "0f8b7c1e-6a54-4f0b-9c1d-2e3f4a5b6c7d"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, upload_idle_s=60, upload_days=1)


def begun(settings: Settings, length: int = 10, account: str = "admin") -> Upload:
    upload = Upload(
        id=str(uuid4()), length=length, filename="a.qcow2", flow="add_volume_image",
        request=json.dumps({"account": account}), created_at=datetime.now(UTC),
    )  # fmt: skip
    Uploads(settings).create(upload)
    return upload


def append(settings: Settings, upload: Upload, data: bytes) -> None:
    with Uploads(settings).appending(upload.id) as fd:
        os.write(fd, data)


def age(settings: Settings, upload: Upload, seconds: float) -> None:
    data = Uploads(settings).data(upload.id)
    then = data.stat().st_mtime - seconds
    os.utime(data, (then, then))


def test_what_was_sent_is_found_again(settings: Settings) -> None:
    upload = begun(settings)
    append(settings, upload, b"01234")
    append(settings, upload, b"56")
    again = Uploads(settings)
    assert (again.get(upload.id), again.offset(upload.id), list(again.all())) == (upload, 7, [upload])
    assert again.data(upload.id).read_bytes() == b"0123456"


def test_one_sender_at_a_time(settings: Settings) -> None:
    upload = begun(settings)
    with (
        Uploads(settings).appending(upload.id),
        pytest.raises(UploadBusy),
        Uploads(settings).appending(upload.id),
    ):
        pass
    append(settings, upload, b"x")


@pytest.mark.parametrize("name", ["", "..", "../x", "a" * 32, f"{SOME}/..", SOME.upper()])
def test_other_names_are_nothing(settings: Settings, name: str) -> None:
    for ask in (Uploads(settings).get, Uploads(settings).offset, Uploads(settings).data):
        with pytest.raises(UploadNotFound):
            ask(name)


def test_no_room_is_said_before_a_byte_comes(settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match="room for"):
        begun(settings, 1 << 60)
    assert not list(Uploads(settings).all())


def test_an_empty_file_is_refused_at_once(settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match="a file that is not empty"):
        begun(settings, 0)
    assert not list(Uploads(settings).all())


def test_room_promised_to_an_unfinished_upload_is_not_free(settings: Settings) -> None:
    settings.uploads_folder.mkdir()
    most = shutil.disk_usage(settings.uploads_folder).free * 7 // 10
    first = begun(settings, most)
    with pytest.raises(InvalidRequest, match="room for"):
        begun(settings, most)
    append(settings, first, b"0123")
    Uploads(settings).discard(first.id)
    begun(settings, most)


def test_unfinished_uploads_are_counted_by_account_and_together(settings: Settings) -> None:
    few = settings.model_copy(update={"uploads_unfinished": 2})
    first = begun(few, account="a")
    begun(few, account="a")
    with pytest.raises(InvalidRequest, match=r"account 'a' has 2 unfinished uploads.*go on with one or discard it"):
        begun(few, account="a")
    append(few, first, b"0123456789")  # whole now
    begun(few, account="a")
    for number in range(18):
        begun(few, account=f"b{number}")
    with pytest.raises(InvalidRequest, match="there are 20 unfinished uploads"):
        begun(few, account="c")


def test_two_that_begin_at_once_do_not_count_on_the_same_room(settings: Settings) -> None:
    one = settings.model_copy(update={"uploads_unfinished": 1})

    def begin(_number: int) -> bool:
        try:
            begun(one)
        except InvalidRequest:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, range(16))) == 1


def test_what_is_remembered_of_an_upload_ends_with_it(settings: Settings) -> None:
    upload, uploads = begun(settings), Uploads(settings)
    assert (uploads.refusal(upload.id), uploads.runs(upload.id)) == ("", ())
    uploads.refuse(upload.id, "it is another format")
    for run in ("one", "two", "one"):
        uploads.begin_run(upload.id, run)
    assert (uploads.refusal(upload.id), uploads.runs(upload.id)) == ("it is another format", ("one", "two"))
    uploads.correct(upload.model_copy(update={"flow": "add_system_image"}))
    assert (uploads.refusal(upload.id), uploads.get(upload.id).flow) == ("", "add_system_image")
    uploads.discard(upload.id)
    for late in (partial(uploads.refuse, upload.id), partial(uploads.begin_run, upload.id)):
        with pytest.raises(UploadNotFound):
            late("x")
    with pytest.raises(UploadNotFound):
        uploads.correct(upload)
    assert (uploads.refusal(upload.id), uploads.runs(upload.id)) == ("", ())


def test_idle_then_expired(settings: Settings) -> None:
    upload, uploads = begun(settings), Uploads(settings)
    assert not uploads.is_idle(upload.id)
    age(settings, upload, 61)
    assert uploads.is_idle(upload.id)
    assert uploads.expired() == ()
    age(settings, upload, 86400)
    assert uploads.expired() == (upload,)


def test_a_half_made_upload_is_removed_once_it_is_old(settings: Settings) -> None:
    aside = settings.uploads_folder / f".{uuid4()}"
    aside.mkdir(parents=True)
    Uploads(settings).remove_half_made()
    assert aside.exists()
    os.utime(aside, (0, 0))
    Uploads(settings).remove_half_made()
    assert not aside.exists()


def test_a_whole_upload_is_a_source(settings: Settings) -> None:
    upload = begun(settings)
    append(settings, upload, b"0123456789")
    source = open_source(url_of(upload.id), settings)
    info = source.probe()
    assert (info.size_bytes, info.resumable) == (10, True)
    with source.open(4, info) as stream:
        buffer = memoryview(bytearray(10))
        assert bytes(buffer[: stream.readinto(buffer)]) == b"456789"


def test_half_an_upload_is_nothing_to_fetch(settings: Settings) -> None:
    upload = begun(settings)
    append(settings, upload, b"0123")
    with pytest.raises(SourceNotFound, match="4 of 10 bytes"):
        open_source(url_of(upload.id), settings).probe()


def test_no_other_file_is_reached(settings: Settings, tmp_path: Path) -> None:
    upload = begun(settings, 6)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    data = Uploads(settings).data(upload.id)
    data.unlink()
    data.symlink_to(secret)
    with pytest.raises(SourceForbidden, match="not below"):
        open_source(url_of(upload.id), settings).probe()
    for url in ("upload://../../x", "upload://x", f"upload://{upload.id}x"):
        with pytest.raises((SourceForbidden, SourceNotFound)):
            open_source(url, settings).probe()


def test_only_uploads_are_discarded_by_their_url(settings: Settings, tmp_path: Path) -> None:
    upload = begun(settings)
    for url in (f"file://{Uploads(settings).data(upload.id)}", "upload://", "upload://..", "upload:///"):
        discard_source(url, settings, "admin")
    assert list(Uploads(settings).all()) == [upload]
    discard_source(url_of(upload.id), settings, "admin")
    discard_source(url_of(upload.id), settings, "admin")
    assert not list(Uploads(settings).all())
