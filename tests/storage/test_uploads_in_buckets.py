"""What only a bucket has to promise: senders on several hosts, pieces that are few enough, and what discards leave."""

import os
import socket
import time
from datetime import timedelta
from pathlib import Path

import pytest

from catalog.errors import InvalidRequest, StorageUnavailable, UploadBusy, UploadNotFound
from storage.imagestore.objects.s3 import S3Objects
from storage.imagestore.objects.s3_connection import S3Connection
from storage.uploads import Uploads, listing, pieces
from storage.uploads.bucket import ROOT
from tests.services.s3 import S3Server
from tests.storage.uploads_at import FAR, At, OneBucket, announced, uploads_at

PLANTED = ("00000000000000000003", "7", "x", "")


@pytest.fixture
def at(tmp_path: Path) -> At:
    return uploads_at("bucket", tmp_path)


def objects_of(at: At) -> list[str]:
    assert at.bucket
    return [info.name for info in at.bucket.objects.list(ROOT)]


def test_of_two_hosts_at_one_offset_one_is_told_that_somebody_else_is_at_it(
    at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = at.begun()
    with at.open().appending(upload.id) as here:
        here.write(b"012")
        monkeypatch.setattr("storage.uploads.bucket._AT_IT", set())  # another host has its own
        at.forget(upload)
        with at.open().appending(upload.id) as there:
            assert there.offset == 3
            there.write(b"345")
            with pytest.raises(UploadBusy):
                here.write(b"xyz!")
            there.write(b"6789")
            assert here.offset == 3
    assert at.open().read(upload.id, 0, 10) == b"0123456789"


def test_what_lies_among_pieces_and_does_not_go_on_there_is_passed_over(at: At) -> None:
    assert at.bucket
    upload = at.begun()
    at.append(upload, b"01234")
    for name in PLANTED:
        at.bucket.objects.put(f"{pieces.FOLDER}{upload.id}/{name}", b"????")
    at.forget(upload)
    at.append(upload, b"56789")
    at.forget(upload)
    assert at.open().read(upload.id, 0, 99) == b"0123456789"
    at.open().discard(upload.id)
    assert objects_of(at) == []


def test_what_tells_of_no_upload_is_no_upload(at: At) -> None:
    assert at.bucket
    for name in ("announced/x", "announced/y/z", "pieces/x/1", "refused/x", "else"):
        at.bucket.objects.put(f"{ROOT}{name}", b"{}")
    assert list(at.open().all()) == []
    at.bucket.later = timedelta(days=400)
    at.open().remove_half_made()
    assert len(objects_of(at)) == 5


def test_a_sender_of_bytes_one_by_one_is_stopped_before_there_are_too_many_pieces(
    at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "MOST_SHORT", 2)
    monkeypatch.setattr(pieces, "SHORT_BYTES", 4)
    upload = at.begun(16)
    for data in (b"0", b"1", b"2345"):
        at.append(upload, data)
    at.forget(upload)
    with pytest.raises(InvalidRequest, match=r"a piece of 1 bytes.*at least 4 bytes at once: 2 shorter pieces"):
        at.append(upload, b"6")
    with at.open().appending(upload.id) as turn:
        turn.write(b"6789")
        turn.write(b"a")  # sent again: the answer says how far it came
        assert turn.offset == 10
    at.append(upload, b"abcd")
    at.append(upload, b"ef")  # the last ones may be short
    assert at.open().read(upload.id, 0, 16) == b"0123456789abcdef"


def test_a_piece_larger_than_what_is_read_at_once_is_read_in_parts(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1000)
    data = os.urandom(3456)
    upload = at.begun(len(data))
    at.append(upload, data[:10])
    at.append(upload, data[10:])
    blocks = list(at.open().blocks(upload.id, 5, 3400))
    assert (b"".join(blocks), max(map(len, blocks))) == (data[5:3400], 1000)


def test_what_came_behind_a_discard_is_removed_once_it_is_old_and_what_lives_stays(at: At) -> None:
    assert at.bucket
    living, gone = at.begun(), at.begun()
    at.append(living, b"01")
    at.open().refuse(living.id, "no")
    with at.open().appending(gone.id) as turn:
        turn.write(b"01")
        at.open().discard(gone.id)
        turn.write(b"23")
    with pytest.raises(UploadNotFound):
        at.open().get(gone.id)
    at.open().remove_half_made()
    assert any(gone.id in name for name in objects_of(at))
    before = [name for name in objects_of(at) if living.id in name]
    at.bucket.later = timedelta(seconds=90)
    at.open().remove_half_made()
    assert objects_of(at) == before


def test_who_looks_waits_once_for_a_bucket_that_does_not_answer_and_others_go_on(
    at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LISTED_WITHIN_S", 0.3)
    monkeypatch.setattr(listing, "COUNTED_WITHIN_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        address = S3Server(endpoint).address("x").model_copy(update={"read_timeout_s": 1})
        uploads = Uploads(at.settings, OneBucket(S3Objects(S3Connection(address))))
        uploads.create(upload := announced(), ("near",))
        began = time.monotonic()
        assert [list(uploads.all()) for _ in range(50)] == [[upload]] * 50
        with pytest.raises(StorageUnavailable, match="did not answer just now"):
            uploads.create(announced(), (FAR,))
        uploads.create(announced(), ("near",))
        assert time.monotonic() - began < 5
