"""How the misbehaving HTTP server answers on one connection."""

import gzip
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from email.message import Message
from email.parser import BytesHeaderParser

from tests.services.faulty_http import Faults, FaultyHttp

BLOCK = 64 << 10


class Conversation:
    """Answers the requests that come over one connection."""

    def __init__(self, sock: socket.socket, server: FaultyHttp) -> None:
        self.sock, self.server = sock, server
        self.lines = sock.makefile("rb")

    def run(self) -> None:
        """Answer until one side closes: who asks for it has the connection closed, as by any server."""
        with self.lines:
            while (request := self._read()) is not None:
                faults = self.server.paths.get(request[1], Faults())
                if not self._answer(*request) or (request[2]["Connection"] == "close" and not faults.stays_open):
                    return

    def _read(self) -> tuple[str, str, Message] | None:
        line = self.lines.readline()
        if not line:
            return None
        method, path, _ = line.decode("latin-1").split(" ", 2)
        head = b""
        while (more := self.lines.readline()) not in (b"\r\n", b""):
            head += more
        request = method, path, BytesHeaderParser().parsebytes(head)
        self.server.requests.append(request)
        return request

    def _answer(self, method: str, path: str, headers: Message) -> bool:
        """Answer one request; False: the connection ends."""
        faults = self.server.paths.get(path)
        if faults is None:
            return self._plain(404, "Not Found")
        self.server.stopping.wait(faults.delay_s)
        if faults.raw is not None:
            self.sock.sendall(faults.raw)
            return False
        if faults.redirect:
            return self._plain(faults.redirect_status, "Found", Location=faults.redirect)
        if method == "HEAD" and faults.head_status:
            return self._plain(faults.head_status, "Refused")
        return self._serve(method, path, headers, faults)

    def _serve(self, method: str, path: str, headers: Message, faults: Faults) -> bool:
        server = self.server
        after = {"Retry-After": faults.retry_after} if faults.retry_after else {}
        if method == "GET" and faults.fail_first and server.take(server.failures, path, faults.fail_first):
            return self._plain(faults.fail_status, "Not Now", **after)
        if faults.busy_above and server.busy > faults.busy_above:
            return self._plain(503, "Too Busy", **{"Retry-After": "1"})
        start, end, status = self._range(headers, faults)
        if status == 416:
            return self._plain(416, "No", **{"Content-Range": f"bytes */{len(faults.content)}"})
        body = faults.content[start:end]
        if faults.encoding == "gzip":
            body = gzip.compress(body, 1)
        self._head(status, f"bytes {start}-{end - 1}/{len(faults.content)}", len(body), faults)
        return method == "HEAD" or self._body(path, start, body, faults)

    def _range(self, headers: Message, faults: Faults) -> tuple[int, int, int]:
        size = len(faults.content)
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("Range", ""))
        expected = headers.get("If-Range")
        if not found or not faults.ranges or (expected and expected not in (faults.etag, faults.modified)):
            return 0, size, 200
        start, last = int(found[1]), int(found[2]) if found[2] else size - 1
        return (start, min(last + 1, size), 206) if start < size else (0, 0, 416)

    def _head(self, status: int, place: str, length: int, faults: Faults) -> None:
        fields = {
            "ETag": faults.etag,
            "Last-Modified": faults.modified,
            "Accept-Ranges": "bytes" if faults.ranges and faults.announce_ranges else "",
            "Content-Range": place if status == 206 else "",
            "Content-Encoding": faults.encoding,
        }
        if faults.chunked or faults.endless:
            fields["Transfer-Encoding"] = "chunked"
        elif not faults.close_delimited:
            fields["Content-Length"] = str(length + faults.length_lie)
        self._send_head(status, "OK", fields, drip=faults.header_drip)

    def _plain(self, status: int, phrase: str, **fields: str) -> bool:
        self._send_head(status, phrase, fields | {"Content-Length": "0"})
        return True

    def _send_head(self, status: int, phrase: str, fields: dict[str, str], *, drip: bool = False) -> None:
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{k}: {v}" for k, v in fields.items() if v), "", ""]
        head = "\r\n".join(lines).encode()
        for piece in (head[i : i + 1] for i in range(len(head))) if drip else (head,):
            self.sock.sendall(piece)
            self.server.stopping.wait(0.05 if drip else 0)

    def _body(self, path: str, start: int, body: bytes, faults: Faults) -> bool:
        """Send a body; False: the connection ends."""
        server, sent = self.server, 0
        for block in self._blocks(body, faults):
            place = start + sent
            if faults.cut_at is not None and self._cuts(path, faults, place, len(block)):
                if faults.chunked or faults.endless:
                    self.sock.sendall(b"%x\r\n" % len(block))
                self._put(block[: faults.cut_at - place], chunked=False)
                with suppress(OSError):
                    self.sock.shutdown(socket.SHUT_RDWR)
                return False
            if faults.stall_at is not None and place + len(block) > faults.stall_at:
                server.stopping.wait(60)
                return False
            self._put(block, chunked=faults.chunked or faults.endless)
            sent += len(block)
            server.stopping.wait(faults.block_delay_s)
        if faults.chunked:
            self.sock.sendall(b"0\r\n\r\n")
        return not (faults.close_delimited or faults.length_lie)

    def _cuts(self, path: str, faults: Faults, place: int, size: int) -> bool:
        crosses = faults.cut_at is not None and place <= faults.cut_at < place + size
        return crosses and self.server.take(self.server.cuts, path, faults.cut_times)

    def _blocks(self, body: bytes, faults: Faults) -> Iterator[bytes]:
        step = 1 if faults.drip else BLOCK
        while True:
            yield from (body[i : i + step] for i in range(0, len(body), step))
            if not faults.endless or self.server.stopping.is_set():
                return

    def _put(self, block: bytes, *, chunked: bool) -> None:
        self.sock.sendall(b"%x\r\n%s\r\n" % (len(block), block) if chunked and block else block)
        with self.server.lock:
            self.server.body_bytes += len(block)
