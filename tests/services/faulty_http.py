"""An HTTP server that misbehaves on demand: each path has its own faults. It counts what it is asked and sends."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from email.message import Message
from pathlib import Path

from tests.services.accepting import accepting


@dataclass(frozen=True)
class Faults:
    """What is wrong with one path. The default is a well-behaved server with ranges and a strong ETag."""

    content: bytes = b""
    etag: str = '"v1"'
    modified: str = "Tue, 03 Nov 2026 08:00:00 GMT"
    ranges: bool = True  # False: Range is ignored
    announce_ranges: bool = True
    head_status: int = 0  # refuse HEAD with this status
    fail_first: int = 0  # answer so many GETs with `fail_status`
    fail_status: int = 503
    retry_after: str = ""
    cut_at: int | None = None  # break the connection at this byte of the file
    cut_times: int = 1  # so many times
    stall_at: int | None = None  # go silent there
    block_delay_s: float = 0.0  # wait after each block of 64 KiB
    drip: bool = False  # one byte, then a wait, and again
    header_drip: bool = False
    length_lie: int = 0  # added to the Content-Length
    chunked: bool = False  # no length
    close_delimited: bool = False  # no length, no chunks
    endless: bool = False  # chunks without an end
    encoding: str = ""  # Content-Encoding: gzip, or anything, the body then gzipped or as it is
    redirect: str = ""
    redirect_status: int = 302
    raw: bytes | None = None  # send just this
    busy_above: int = 0  # 503 to more connections at once than this
    delay_s: float = 0.0  # before each answer: a distant server
    stays_open: bool = False  # closes no connection, also where it is asked to


@dataclass
class FaultyHttp:
    """A running server."""

    host: str
    port: int
    scheme: str = "http"
    paths: dict[str, Faults] = field(default_factory=dict)
    requests: list[tuple[str, str, Message]] = field(default_factory=list)
    connections: int = 0
    body_bytes: int = 0
    cuts: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a connection as busy."""
        with self.lock:
            self.busy += 1
        try:
            yield
        finally:
            with self.lock:
                self.busy -= 1

    def take(self, counter: dict[str, int], path: str, limit: int) -> bool:
        """Count one more fault of a path; False when it has had its share."""
        with self.lock:
            counter[path] = counter.get(path, 0) + 1
            return counter[path] <= limit

    def serve(self, path: str, faults: Faults) -> str:
        """Put a path into service and return its URL."""
        self.paths[path] = faults
        return self.url + path

    def change(self, path: str, **changes: object) -> None:
        """Change a path's faults from the next request on."""
        self.paths[path] = replace(self.paths[path], **changes)  # type: ignore[arg-type]  # a test names its own fields

    def gets(self, path: str) -> list[Message]:
        """Return the headers of the GETs of a path."""
        return [headers for method, target, headers in self.requests if (method, target) == ("GET", path)]


@contextmanager
def faulty_http(certificate: Path | None = None, host: str = "127.0.0.1", port: int = 0) -> Iterator[FaultyHttp]:
    """Run a server in threads of this process; certificate: PEM of key and chain for https; port 0: any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=64)
    server = FaultyHttp(host, listener.getsockname()[1], "https" if certificate else "http")
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    with accepting(listener, lambda: _accept(listener, server, context)):
        try:
            yield server
        finally:
            server.stopping.set()


def _accept(listener: socket.socket, server: FaultyHttp, context: ssl.SSLContext | None) -> None:
    while not server.stopping.is_set():
        try:
            sock = listener.accept()[0]
        except OSError:
            return
        server.connections += 1
        threading.Thread(target=_converse, args=(sock, server, context), daemon=True).start()


def _converse(sock: socket.socket, server: FaultyHttp, context: ssl.SSLContext | None) -> None:
    from tests.services.faulty_answer import Conversation

    with suppress(OSError, ValueError), sock:
        sock.settimeout(30)
        secured = context.wrap_socket(sock, server_side=True) if context else sock
        with secured, server.counted():
            Conversation(secured, server).run()
