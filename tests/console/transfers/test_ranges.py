"""Parts of files: as RFC 9110 has them, whatever is asked."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from console.transfers import ranges
from console.transfers.ranges import MOST_RANGES, Offer, RangedAnswer, asked_ranges

DATA = bytes(range(256)) * 10
ETAG = '"sha256:abc"'
HTTP = st.from_regex(r"bytes=[0-9]{0,5}-[0-9]{0,5}(,[0-9]{0,5}-[0-9]{0,5}){0,3}", fullmatch=True)


class Bytes:
    """A file in memory. fails_at: where reading it ends with an error."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at, self.read = fails_at, 0

    def read_at(self, offset: int, size: int) -> bytes:
        if self.fails_at is not None and offset + size > self.fails_at:
            raise OSError("this can't be read")
        self.read += size
        return DATA[offset : offset + size]


def client(file: Bytes | None = None) -> TestClient:
    @contextmanager
    def opened() -> Iterator[Bytes]:
        yield file or Bytes()

    return TestClient(RangedAnswer(Offer(size_bytes=len(DATA), etag=ETAG, headers={"X-A": "b"}), opened))


def parts_of(answer: object, body: bytes, kind: str) -> list[tuple[int, bytes]]:
    boundary = kind.partition("boundary=")[2].encode()
    found = []
    for part in body.split(b"\r\n--" + boundary)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        span = re.search(rb"Content-Range: bytes (\d+)-(\d+)/(\d+)", head)
        assert span is not None
        assert len(data) == int(span[2]) - int(span[1]) + 1
        found.append((int(span[1]), data))
    return found


def test_the_whole_file_with_what_is_said_of_it() -> None:
    answer = client().get("/")
    assert (answer.status_code, answer.content) == (200, DATA)
    said = {name: answer.headers[name] for name in ("etag", "accept-ranges", "content-length", "x-a")}
    assert said == {"etag": ETAG, "accept-ranges": "bytes", "content-length": str(len(DATA)), "x-a": "b"}
    head = client().head("/")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(DATA)))


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=5-", 5, 2560), ("bytes=-7", 2553, 2560), ("bytes=2550-9999", 2550, 2560), ("BYTES= 1-1", 1, 2),
     ("bytes=-99999", 0, 2560), ("bytes=0-0,0-0", 0, 1), ("bytes=9999-,1-2", 1, 3)],
)  # fmt: skip
def test_one_part(header: str, start: int, end: int) -> None:
    answer = client().get("/", headers={"Range": header})
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-3", "lines=0-1", "bytes=0-1;2-3", "bytes=0-1,", "bytes=٣-٤", "bytes=+1-2",
     "bytes=1.0-2", "bytes=" + ",".join(["0-0"] * (MOST_RANGES + 1)), "bytes=" + "9" * 30 + "-"],
)  # fmt: skip
def test_what_is_no_range_is_ignored(header: str) -> None:
    answer = client().get("/", headers={"Range": header.encode()})
    assert (answer.status_code, answer.content) == (200, DATA)


@pytest.mark.parametrize("header", ["bytes=2560-", "bytes=9999-10000", "bytes=-0"])
def test_bytes_that_are_not_there(header: str) -> None:
    answer = client().get("/", headers={"Range": header})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (416, b"", "bytes */2560")


def test_several_parts_in_the_order_asked_for_and_none_twice() -> None:
    answer = client().get("/", headers={"Range": "bytes=100-109, 0-4"})
    assert answer.status_code == 206
    assert parts_of(answer, answer.content, answer.headers["content-type"]) == [(100, DATA[100:110]), (0, DATA[:5])]
    file = Bytes()
    answer = client(file).get("/", headers={"Range": "bytes=" + ",".join(["0-"] * MOST_RANGES)})
    assert (answer.content, file.read) == (DATA, len(DATA))


@given(HTTP)
def test_any_range_gives_just_those_bytes(header: str) -> None:
    answer = client().get("/", headers={"Range": header})
    found = asked_ranges(header, len(DATA))
    assert int(answer.headers["content-length"]) == len(answer.content)
    if answer.status_code == 206 and "multipart" in answer.headers["content-type"]:
        parts = parts_of(answer, answer.content, answer.headers["content-type"])
        assert [(start, DATA[start:end]) for start, end in found or ()] == parts
    elif answer.status_code == 206:
        assert found is not None
        assert answer.content == DATA[found[0][0] : found[0][1]]
    else:
        assert (answer.status_code, answer.content) in ((200, DATA), (416, b""))


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"If-None-Match": ETAG}, 304), ({"If-None-Match": f'"x", W/{ETAG}'}, 304), ({"If-None-Match": '"x"'}, 200),
     ({"If-Match": '"x"'}, 412), ({"If-Match": ETAG}, 200), ({"If-Match": f"W/{ETAG}"}, 412), ({"If-Match": "*"}, 200),
     ({"If-Range": ETAG, "Range": "bytes=0-0"}, 206), ({"If-Range": '"x"', "Range": "bytes=0-0"}, 200),
     ({"If-Range": f"W/{ETAG}", "Range": "bytes=0-0"}, 200)],
)  # fmt: skip
def test_conditions(headers: Mapping[str, str], status: int) -> None:
    assert client().get("/", headers=headers).status_code == status


def test_what_can_not_be_read_breaks_off_and_is_never_filled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "BLOCK_BYTES", 100)
    with pytest.raises(OSError, match="this can't be read"):
        client(Bytes(fails_at=0)).get("/")
    with pytest.raises(OSError, match="this can't be read"):
        client(Bytes(fails_at=1000)).get("/")
