"""What every place of uploads promises: what is kept, who may append, when it is given up; and the source that reads them."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from catalog.errors import InvalidRequest, SourceForbidden, SourceNotFound, UploadBusy, UploadNotFound
from storage.sources import open_source
from storage.uploads import url_of
from tests.storage.uploads_at import KINDS, At, uploads_at

SOME = "0f8b7c1e-6a54-4f0b-9c1d-2e3f4a5b6c7d"


@pytest.fixture(params=KINDS)
def at(request: pytest.FixtureRequest, tmp_path: Path) -> At:
    return uploads_at(request.param, tmp_path)


def test_what_was_sent_is_found_again(at: At) -> None:
    upload = at.begun()
    at.append(upload, b"01234")
    at.append(upload, b"56")
    at.forget(upload)
    again = at.open()
    assert (again.get(upload.id), again.offset(upload.id), list(again.all())) == (upload, 7, [upload])
    assert [again.read(upload.id, start, end) for start, end in ((0, 99), (3, 6), (5, 5), (9, 12))] == [
        b"0123456", b"345", b"", b"",
    ]  # fmt: skip


def test_each_turn_goes_on_where_what_is_kept_ends(at: At) -> None:
    upload = at.begun()
    at.append(upload, b"")
    for data in (b"0123", b"4", b"56789"):
        with at.open().appending(upload.id) as turn:
            before = turn.offset
            turn.write(data)
            assert turn.offset == before + len(data)
    assert at.open().read(upload.id, 0, 10) == b"0123456789"


def test_one_sender_at_a_time(at: At) -> None:
    upload = at.begun()
    with at.open().appending(upload.id), pytest.raises(UploadBusy), at.open().appending(upload.id):
        pass
    at.append(upload, b"x")


@pytest.mark.parametrize("name", ["", "..", "../x", "a" * 32, f"{SOME}/..", SOME.upper()])
def test_other_names_are_nothing(at: At, name: str) -> None:
    uploads = at.open()
    for ask in (uploads.get, uploads.offset, uploads.data, uploads.refusal, uploads.runs, uploads.expires_at):
        with pytest.raises(UploadNotFound):
            ask(name)
    uploads.discard(name)


def test_what_is_gone_or_was_never_there_is_said_to_be_so(at: At) -> None:
    upload = at.begun()
    at.append(upload, b"01")
    at.open().discard(upload.id)
    at.open().discard(upload.id)
    uploads = at.open()
    for ask in (uploads.get, uploads.offset, uploads.expires_at, uploads.is_idle):
        for name in (upload.id, SOME):
            with pytest.raises(UploadNotFound):
                ask(name)
    with pytest.raises(UploadNotFound), uploads.appending(upload.id):
        pass


def test_an_empty_file_is_refused_at_once(at: At) -> None:
    with pytest.raises(InvalidRequest, match="a file that is not empty"):
        at.begun(0)
    assert not list(at.open().all())


def test_unfinished_uploads_are_counted_by_account_and_together(at: At) -> None:
    few = partial(at.begun, uploads_unfinished=2)
    first = few(account="a")
    few(account="a")
    with pytest.raises(InvalidRequest, match=r"account 'a' has 2 unfinished uploads.*go on with one or discard it"):
        few(account="a")
    at.append(first, b"0123456789")  # whole now
    few(account="a")
    for number in range(18):
        few(account=f"b{number}")
    with pytest.raises(InvalidRequest, match="there are 20 unfinished uploads"):
        few(account="c")


def test_two_that_begin_at_once_do_not_count_on_the_same_room(at: At) -> None:
    def begin(_number: int) -> bool:
        try:
            at.begun(uploads_unfinished=1)
        except InvalidRequest:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, range(16))) == 1


def test_what_is_remembered_of_an_upload_ends_with_it(at: At) -> None:
    upload, uploads = at.begun(), at.open()
    assert (uploads.refusal(upload.id), tuple(uploads.runs(upload.id))) == ("", ())
    uploads.refuse(upload.id, "it is another format")
    for run in ("one", "two", "one"):
        uploads.begin_run(upload.id, run)
    assert (uploads.refusal(upload.id), tuple(uploads.runs(upload.id))) == ("it is another format", ("one", "two"))
    uploads.correct(upload.model_copy(update={"flow": "add_system_image"}))
    assert (uploads.refusal(upload.id), uploads.get(upload.id).flow) == ("", "add_system_image")
    uploads.discard(upload.id)
    for late in (partial(uploads.refuse, upload.id), partial(uploads.begin_run, upload.id)):
        with pytest.raises(UploadNotFound):
            late("x")
    with pytest.raises(UploadNotFound):
        uploads.correct(upload)
    assert (uploads.refusal(upload.id), tuple(uploads.runs(upload.id))) == ("", ())


def test_runs_that_are_remembered_at_once_are_all_there(at: At) -> None:
    upload = at.begun()
    at.open().begin_run(upload.id, "first")
    runs = {f"run {number}" for number in range(4)}
    for run in sorted(runs):  # of one console after the other
        at.open().begin_run(upload.id, run)
    assert at.open().runs(upload.id)[0] == "first"
    assert set(at.open().runs(upload.id)) == {"first", *runs}


def test_idle_then_expired(at: At) -> None:
    upload, uploads = at.begun(), at.open()
    at.append(upload, b"0")
    at.forget(upload)
    assert not uploads.is_idle(upload.id)
    at.age(upload, 63)
    assert uploads.is_idle(upload.id)
    assert uploads.expired() == ()
    at.age(upload, 86400)
    assert uploads.expired() == (upload,)


def test_one_that_nothing_came_of_expires_as_well(at: At) -> None:
    upload = at.begun()
    at.age(upload, 86500)
    assert at.open().expired() == (upload,)


def test_a_whole_upload_is_a_source(at: At) -> None:
    upload = at.begun()
    for data in (b"012", b"345678", b"9"):
        at.append(upload, data)
    source = open_source(url_of(upload.id), at.settings, uploads=at.open())
    info = source.probe()
    assert (info.size_bytes, info.resumable, source.peek(4)) == (10, True, b"0123")
    for start in (0, 2, 4, 9, 10):
        read = bytearray()
        with source.open(start, info) as stream:
            buffer = memoryview(bytearray(4))
            while size := stream.readinto(buffer):
                read += buffer[:size]
        assert read == b"0123456789"[start:]


def test_half_an_upload_is_nothing_to_fetch(at: At) -> None:
    upload = at.begun()
    at.append(upload, b"0123")
    with pytest.raises(SourceNotFound, match="4 of 10 bytes"):
        open_source(url_of(upload.id), at.settings, uploads=at.open()).probe()


def test_no_other_name_is_a_source(at: At) -> None:
    upload = at.begun(6)
    for url in ("upload://../../x", "upload://x", f"upload://{upload.id}x", f"upload://{SOME}"):
        with pytest.raises((SourceForbidden, SourceNotFound)):
            open_source(url, at.settings, uploads=at.open()).probe()
