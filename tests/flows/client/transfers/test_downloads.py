"""Downloads: only what is data, from where they broke off, and never a file that is not what was recorded."""

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.errors import (
    ChecksumMismatch,
    ImageNotFound,
    ImagewrightError,
    InvalidRequest,
    SourceChanged,
    TransferInterrupted,
)
from catalog.files import locked
from catalog.records import Image
from flows.client import Client
from flows.client.errors import AnswerNotUnderstood
from tasks.images.export import export
from tests.flows.managed import MIB, placed
from tests.services.payload import payload, random_bytes
from tests.services.proxy import proxy
from tests.services.scripted_http import answer, scripted
from tests.services.service import Service

pytestmark = pytest.mark.xdist_group("client")


@payload
def data() -> bytes:
    return (
        random_bytes(3 * MIB + 5) + bytes(9 * MIB) + random_bytes(2 * MIB, 2) + bytes(300_000) + b"end" + bytes(4 * MIB)
    )


OWN = 6 * MIB
"""More than its data, less than half of it."""


@pytest.fixture(scope="module")
def image(served: Service) -> Image:
    return placed(data(), owner="team", name="ci-disk")


def parts(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if file.name.endswith(".part")]


def test_an_image_comes_whole_and_its_holes_do_not(user: Client, image: Image, tmp_path: Path) -> None:
    target = tmp_path / "disk.raw"
    target.write_bytes(b"what was there before")
    shown: list[tuple[int, int | None, str]] = []
    done = user.download(image.id, target, moved=lambda *told: shown.append(told))
    assert target.read_bytes() == data()
    assert (done.size_bytes, done.sha256) == (len(data()), hashlib.sha256(data()).hexdigest())
    assert 5 * MIB < done.received_bytes < OWN
    assert target.stat().st_blocks * 512 < OWN + MIB
    assert (shown[-1][0], shown[-1][2]) == (done.received_bytes, "downloading")
    assert parts(tmp_path) == []


@pytest.mark.parametrize("size", [1, 65_536, MIB + 1])
def test_files_of_any_size_come_whole(user: Client, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    assert user.download(placed(data, owner="team").id, tmp_path / "x").size_bytes == size
    assert (tmp_path / "x").read_bytes() == data


def test_an_export_comes_by_its_id(user: Client, image: Image, tmp_path: Path) -> None:
    made = export.fn(image.id, "team", None, None)
    done = user.download(made.id.upper(), tmp_path / "export.raw")
    assert ((tmp_path / "export.raw").read_bytes() == data(), done.sha256) == (True, made.sha256)
    assert (tmp_path / "export.raw").stat().st_blocks * 512 < OWN + MIB  # zeros are not written


def test_what_broke_off_goes_on_where_it_was(
    served: Service, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_RETRIES", "0")
    target = tmp_path / "disk.raw"
    with proxy(served.port) as between, Client(f"http://127.0.0.1:{between.port}", served.tokens["user"]) as client:
        between.cut_after = 2 * MIB
        with pytest.raises(TransferInterrupted, match="goes on from there"):
            client.download(image.id, target)
        assert (target.exists(), len(parts(tmp_path))) == (False, 1)
        done = client.download(image.id, target)
    assert target.read_bytes() == data()
    assert 3 * MIB < done.received_bytes < OWN - 3 * MIB // 2


def test_a_connection_that_breaks_is_made_anew(served: Service, image: Image, tmp_path: Path) -> None:
    with proxy(served.port) as between, Client(f"http://127.0.0.1:{between.port}", served.tokens["user"]) as client:

        def cut(done: int, _total: int | None, _step: str) -> None:
            if done in range(MIB, MIB + 300_000) or done in range(4 * MIB, 4 * MIB + 300_000):
                between.cut()

        client.download(image.id, tmp_path / "x", moved=cut)
        assert between.connections > 1
    assert (tmp_path / "x").read_bytes() == data()


def test_what_was_begun_of_another_file_is_not_gone_on_with(user: Client, image: Image, tmp_path: Path) -> None:
    (tmp_path / "x.0123456789abcdef.part").write_bytes(b"of another file")
    (tmp_path / "x.tar.0123456789abcdef.part").write_bytes(b"of another name")
    user.download(image.id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == data()
    assert parts(tmp_path) == ["x.tar.0123456789abcdef.part"]


def test_a_part_that_was_damaged_is_found_and_not_kept(
    served: Service, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_RETRIES", "0")
    with proxy(served.port) as between, Client(f"http://127.0.0.1:{between.port}", served.tokens["user"]) as client:
        between.cut_after = 2 * MIB
        with pytest.raises(TransferInterrupted):
            client.download(image.id, tmp_path / "x")
        (name,) = parts(tmp_path)
        with (tmp_path / name).open("r+b") as file:
            file.write(b"damage")
        with pytest.raises(ChecksumMismatch, match="nothing was kept"):
            client.download(image.id, tmp_path / "x")
        assert list(tmp_path.iterdir()) == []
        client.download(image.id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == data()


def test_two_do_not_write_one_file(user: Client, image: Image, tmp_path: Path) -> None:
    etag = f'"sha256:{image.sha256}"'
    part = tmp_path / f"x.{hashlib.sha256(etag.encode()).hexdigest()[:16]}.part"
    part.touch()
    with locked(part), pytest.raises(InvalidRequest, match="no other process"):
        user.download(image.id, tmp_path / "x")


@pytest.mark.parametrize("place", ["", "nowhere/x"])
def test_a_place_where_no_file_can_be_is_refused_before_a_byte_comes(user: Client, tmp_path: Path, place: str) -> None:
    with pytest.raises(InvalidRequest, match="a file in a folder that is there"):
        user.download("x", tmp_path / place)


def test_what_is_not_there_is_said(served: Service, user: Client, image: Image, tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound):
        user.download("nothing", tmp_path / "x")
    with Client(served.url, served.tokens["other"]) as other, pytest.raises(ImageNotFound):
        other.download(image.id, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


SMALL = os.urandom(100_000)
TAG = f'"sha256:{hashlib.sha256(SMALL).hexdigest()}"'
DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(SMALL).digest()).decode()}:"


def ranged(head: str, data: bytes = SMALL, **headers: str) -> bytes:
    """Return the answer of a service that keeps its word, but for what a test says otherwise."""
    if "/extents" in head:
        return answer(json.dumps([{"start": 0, "length": len(data), "data": True}]).encode(), ETag=TAG)
    start, end = (int(number) for number in head.partition("Range: bytes=")[2].split("\r\n")[0].split("-"))
    part = data[start : end + 1]
    said = {"ETag": TAG, "Repr_Digest": DIGEST, "Content_Range": f"bytes {start}-{end}/{len(data)}", **headers}
    return answer(part, "206 Partial Content", "application/octet-stream", **said)


def lie_of_length(head: str) -> bytes:
    whole = ranged(head)
    return whole if "bytes=0-0" in head else whole.replace(b"Content-Length: 100000", b"Content-Length: 99999")


def another_file(head: str) -> bytes:
    return ranged(head) if "bytes=0-0" in head or "extents" in head else ranged(head, ETag='"other"')


def the_whole_instead(head: str) -> bytes:
    if "bytes=0-0" in head or "extents" in head:
        return ranged(head)
    return answer(SMALL, kind="application/octet-stream", ETag=TAG)


LIES: dict[str, tuple[Callable[[str], bytes], type[ImagewrightError], str]] = {
    "other bytes": (lambda head: ranged(head, bytes(100_000)), ChecksumMismatch, "the bytes have sha256:"),
    "a length": (lie_of_length, AnswerNotUnderstood, "99999 bytes where 100000 were asked for"),
    "another file": (another_file, SourceChanged, "changed meanwhile"),
    "all of it": (the_whole_instead, AnswerNotUnderstood, "where bytes 0 to 99999 were asked for"),
    "two digests": (lambda head: ranged(head, ETag=f'"sha256:{"0" * 64}"'), AnswerNotUnderstood, "contradict"),
    "a short digest": (lambda head: ranged(head, Repr_Digest="sha-256=:AAAA:"), AnswerNotUnderstood, "as sha-256"),
    "no range": (lambda head: ranged(head, Content_Range="bytes */x"), AnswerNotUnderstood, "without Content-Range"),
    "no tag": (lambda head: ranged(head, ETag=""), AnswerNotUnderstood, "ETag"),
    "a page": (lambda _head: answer(b"<html>", kind="text/html"), AnswerNotUnderstood, "without Content-Range"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_service_that_lies_leaves_no_file(home: Path, tmp_path: Path, lie: str) -> None:
    say, kind, said = LIES[lie]
    folder = tmp_path / "folder"
    folder.mkdir()
    found = pytest.raises(kind, match=said)
    with scripted(lambda head: iter([say(head)])) as server, Client(server.url, "iw_x") as client, found:
        client.download("x", folder / "disk.raw")
    assert not (folder / "disk.raw").exists()


def test_a_body_that_never_ends_is_read_as_far_as_was_asked(home: Path, tmp_path: Path) -> None:
    def endless(head: str) -> Iterator[bytes]:
        if "bytes=0-0" in head or "extents" in head:
            yield ranged(head)
            return
        whole = ranged(head)
        yield whole.replace(b"Content-Length: 100000\r\n", b"")
        while True:
            yield bytes(65536)

    with scripted(endless) as server, Client(server.url, "iw_x") as client:
        assert client.download("x", tmp_path / "disk.raw").received_bytes == len(SMALL)
    assert (tmp_path / "disk.raw").read_bytes() == SMALL


def test_a_file_without_a_digest_is_told_to_have_none(home: Path, tmp_path: Path) -> None:
    def undigested(head: str) -> Iterator[bytes]:
        yield ranged(head, Repr_Digest="x=:AAAA:")

    with scripted(undigested) as server, Client(server.url, "iw_x") as client:
        done = client.download("x", tmp_path / "disk.raw")
    assert (done.sha256, done.md5, (tmp_path / "disk.raw").read_bytes() == SMALL) == (None, None, True)
