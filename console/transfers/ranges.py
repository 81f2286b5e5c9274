"""Send the bytes of a random-access reader, whole or the parts that a Range asks for (RFC 9110, sections 13 and 14).

A thread reads one block ahead of the one being sent: two blocks in memory per answer, however large the file. A Range
that is malformed, or has too many parts, is ignored, as the standard allows: the whole file is sent.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Protocol

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from catalog.records import Record

BLOCK_BYTES = 1 << 20
MOST_RANGES = 16
RANGE = re.compile(r"(\d{0,19})-(\d{0,19})", re.ASCII)
THREADS = ThreadPoolExecutor(16, thread_name_prefix="contents")
"""A pool of its own: reads from a slow storage block nothing else."""
Range = tuple[int, int]
MEDIA = "application/octet-stream"


class Readable(Protocol):
    """Bytes that can be read at any offset."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        ...


class Offer(Record):
    """The file on offer. etag: quoted, of exactly these bytes; headers: further ones of the answer."""

    size_bytes: int
    etag: str
    headers: Mapping[str, str]


def asked_ranges(header: str | None, size: int) -> Sequence[Range] | None:
    """Return the intervals `[start, end)` of a Range; None for the whole file; empty if the file has no such bytes."""
    unit, equals, text = (header or "").partition("=")
    parts = text.split(",")
    if not equals or unit.strip().lower() != "bytes" or len(parts) > MOST_RANGES:
        return None
    found = [RANGE.fullmatch(part.strip(" \t")) for part in parts]
    spans = [_span(match[1], match[2]) for match in found if match is not None]
    if len(spans) < len(parts) or None in spans:
        return None
    within = [_within(span, size) for span in spans if span is not None]
    return _joined([span for span in within if span[0] < span[1]])


def _span(first: str, last: str) -> tuple[int | None, int | None] | None:
    """Return the numbers of a part; None if it is malformed."""
    if not first and not last:
        return None
    start, end = int(first) if first else None, int(last) if last else None
    return None if start is not None and end is not None and end < start else (start, end)


def _within(span: tuple[int | None, int | None], size: int) -> Range:
    start, last = span
    if start is None:
        return max(0, size - (last or 0)), size
    return start, size if last is None else min(last + 1, size)


def _joined(spans: Sequence[Range]) -> Sequence[Range]:
    """Return intervals in the requested order, with overlapping ones joined, so that no bytes are sent many times."""
    if all(one[1] <= other[0] or other[1] <= one[0] for i, one in enumerate(spans) for other in spans[:i]):
        return spans
    joined: list[Range] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


class RangedAnswer(Response):
    """An answer. opened: opens the reader for the time of sending; it is not called for answers without bytes."""

    def __init__(self, offer: Offer, opened: Callable[[], AbstractContextManager[Readable]]) -> None:
        super().__init__()
        self._offer, self._opened = offer, opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the bytes, or with the reason for none."""
        headers = Headers(scope=scope)
        if (status := self._refused(headers)) is not None:
            await self._start(send, status, {})
            await send({"type": "http.response.body", "body": b""})
            return
        ranges = asked_ranges(headers.get("Range"), self._offer.size_bytes) if self._may_be_part(headers) else None
        if ranges is not None and not ranges:
            await self._start(send, 416, {"Content-Range": f"bytes */{self._offer.size_bytes}", "Content-Length": "0"})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._answer(scope["method"], self._plan(ranges), receive, send)

    def _refused(self, headers: Headers) -> int | None:
        """Return the status of an answer without bytes, by the client's conditions."""
        wanted, held = headers.get("If-Match"), headers.get("If-None-Match")
        if wanted is not None and not self._among(wanted):
            return 412
        return 304 if held is not None and self._among(held, weak=True) else None

    def _among(self, tags: str, *, weak: bool = False) -> bool:
        given = [tag.strip() for tag in tags.split(",")]
        if weak:
            given = [tag.removeprefix("W/") for tag in given]
        return "*" in given or self._offer.etag in given

    def _may_be_part(self, headers: Headers) -> bool:
        return headers.get("If-Range", self._offer.etag) == self._offer.etag

    def _plan(self, ranges: Sequence[Range] | None) -> "_Plan":
        size = self._offer.size_bytes
        if ranges is None:
            return _Plan(200, {"Content-Length": str(size), "Content-Type": MEDIA}, ((b"", (0, size)),), b"")
        if len(ranges) == 1:
            ((start, end),) = ranges
            said = {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Length": str(end - start)}
            return _Plan(206, {**said, "Content-Type": MEDIA}, ((b"", ranges[0]),), b"")
        return _several(ranges, size)

    async def _answer(self, method: str, plan: "_Plan", receive: Receive, send: Send) -> None:
        if method == "HEAD":
            await self._start(send, plan.status, plan.headers)
            await send({"type": "http.response.body", "body": b""})
            return
        loop, stack = asyncio.get_running_loop(), ExitStack()
        gone = asyncio.ensure_future(_gone(receive))
        try:
            reader = await loop.run_in_executor(THREADS, lambda: stack.enter_context(self._opened()))
            await self._send(plan, reader, gone, send)
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.shield(loop.run_in_executor(THREADS, stack.close))

    async def _send(self, plan: "_Plan", reader: Readable, gone: "asyncio.Future[None]", send: Send) -> None:
        """Send blocks; read the first one before sending headers, so that a read error gets an answer of its own."""
        ahead = _Ahead(plan.blocks(reader))
        try:
            block = await ahead.next()
            await self._start(send, plan.status, plan.headers)
            while block is not None and not gone.done():
                await send({"type": "http.response.body", "body": block, "more_body": True})
                block = await ahead.next()
        finally:
            await ahead.close()
        if not gone.done():
            await send({"type": "http.response.body", "body": b""})

    async def _start(self, send: Send, status: int, more: Mapping[str, str]) -> None:
        said = {"ETag": self._offer.etag, "Accept-Ranges": "bytes", **self._offer.headers, **more}
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})


class _Ahead:
    """Reads the next block while one is sent."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._following = self._read()

    def _read(self) -> "asyncio.Future[bytes | None]":
        return asyncio.get_running_loop().run_in_executor(THREADS, next, self._blocks, None)

    async def next(self) -> bytes | None:
        """Return the next block, None at the end. Raises as the reader does."""
        block = await self._following
        if block is not None:
            self._following = self._read()
        return block

    async def close(self) -> None:
        """Wait for a thread still reading: the reader may be closed afterwards."""
        await asyncio.wait([self._following])


class _Plan:
    """An answer with bytes. parts: each a header and an interval; end: the closing text."""

    def __init__(
        self, status: int, headers: Mapping[str, str], parts: Sequence[tuple[bytes, Range]], end: bytes
    ) -> None:
        self.status, self.headers, self._parts, self._end = status, headers, parts, end

    def blocks(self, reader: Readable) -> Iterator[bytes]:
        """Yield the blocks to send. Raises the reader's errors, EOFError if it has fewer bytes than promised."""
        for said, (start, end) in self._parts:
            if said:
                yield said
            at = start
            while at < end:
                block = reader.read_at(at, min(BLOCK_BYTES, end - at))
                if not block:
                    raise EOFError(f"no byte at {at}, {end} were promised")
                at += len(block)
                yield block
        if self._end:
            yield self._end


def _several(ranges: Sequence[Range], size: int) -> _Plan:
    boundary = secrets.token_hex(16)
    parts = [
        (
            f"\r\n--{boundary}\r\nContent-Type: {MEDIA}\r\nContent-Range: bytes {s}-{e - 1}/{size}\r\n\r\n".encode(),
            (s, e),
        )
        for s, e in ranges
    ]
    end = f"\r\n--{boundary}--\r\n".encode()
    length = sum(len(said) + e - s for said, (s, e) in parts) + len(end)
    said = {"Content-Type": f"multipart/byteranges; boundary={boundary}", "Content-Length": str(length)}
    return _Plan(206, said, parts, end)


async def _gone(receive: Receive) -> None:
    """Return once the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
