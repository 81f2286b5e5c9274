"""Web servers as they are met: each serves one file and differs from a plain server in what its docstring says.

An oddity is a function from a request to a reply; `SERVERS` names them.
"""

import http.server
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

ETAG, MODIFIED = '"v1"', "Tue, 03 Nov 2026 08:00:00 GMT"


@dataclass(frozen=True)
class Request:
    """What is asked. number: of the request, from 1."""

    method: str
    target: str
    headers: Mapping[str, str]
    number: int
    content: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


@dataclass(frozen=True)
class Reply:
    """What is answered; a field of None is left out, `raw` is sent instead of all."""

    status: int = 200
    fields: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None


Oddity = Callable[[Request], Reply]
SERVERS: dict[str, Oddity] = {}


def server(oddity: Oddity) -> Oddity:
    SERVERS[oddity.__name__.replace("_", "-")] = oddity
    return oddity


def plain(request: Request, *, etag: str | None = ETAG, modified: str | None = MODIFIED) -> Reply:
    """Serve the file, or one range of it."""
    fields = {"ETag": etag, "Last-Modified": modified, "Accept-Ranges": "bytes"}
    asked, size = request.headers.get("Range"), len(request.content)
    if asked and request.headers.get("If-Range", etag) in (etag, modified):
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or size), size - 1) + 1
        if start >= size:
            return Reply(416, {"Content-Range": f"bytes */{size}"})
        return Reply(206, fields | {"Content-Range": f"bytes {start}-{end - 1}/{size}"}, request.content[start:end])
    return Reply(200, fields, request.content)


def redirected(location: str, **fields: str) -> Reply:
    return Reply(302, {"Location": location, **fields})


@server
def another_mirror_each_time(request: Request) -> Reply:
    """Sends each request to the next of seven mirrors, which agree in size and time and not in ETag."""
    if not request.path.startswith("/mirror"):
        return redirected(f"/mirror{request.number % 7}{request.target}")
    return plain(request, etag=f'"{request.path[:8]}"')


@server
def clocks_of_mirrors(request: Request) -> Reply:
    """One name, many mirrors: another time with each answer, always the same ETag."""
    return plain(request, modified=f"Tue, 03 Nov 2026 08:00:{request.number % 60:02} GMT")


@server
def mirrors_without_etags(request: Request) -> Reply:
    """One name, many mirrors: no ETag, another time with each answer."""
    return plain(request, etag=None, modified=f"Tue, 03 Nov 2026 08:00:{request.number % 60:02} GMT")


@server
def head_of_a_cache(request: Request) -> Reply:
    """Answers HEAD out of a cache with validators of its own."""
    return (
        plain(request, etag='"cached"', modified="Mon, 02 Nov 2026 08:00:00 GMT") if _head(request) else plain(request)
    )


@server
def head_of_a_script(request: Request) -> Reply:
    """Answers HEAD with the length of a page."""
    return Reply(200, {"Content-Length": "4711", "Accept-Ranges": "bytes"}) if _head(request) else plain(request)


@server
def head_refused(request: Request) -> Reply:
    """Knows only GET, and says so with 503."""
    return Reply(503) if _head(request) else plain(request)


@server
def head_not_found(request: Request) -> Reply:
    """Signed addresses are for GET alone."""
    return Reply(404) if _head(request) else plain(request)


@server
def head_unanswered(request: Request) -> Reply:
    """Closes the connection on HEAD."""
    return Reply(raw=b"") if _head(request) else plain(request)


@server
def head_broken(request: Request) -> Reply:
    """Closes the connection in the middle of the answer to HEAD."""
    return Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le") if _head(request) else plain(request)


def refusing_ranges(status: int) -> Oddity:
    def serve(request: Request) -> Reply:
        ranged = "Range" in request.headers
        return Reply(status) if ranged or _head(request) else plain(request)

    serve.__doc__ = f"Refuses a range, and HEAD, with {status}."
    return serve


SERVERS |= {f"range-{status}": refusing_ranges(status) for status in (400, 403, 405, 406, 412, 416, 500, 501, 503)}


@server
def range_unanswered(request: Request) -> Reply:
    """A firewall that drops the connection over a range."""
    return Reply(raw=b"") if "Range" in request.headers else plain(request)


@server
def range_elsewhere(request: Request) -> Reply:
    """Answers any range with one of its own choice."""
    if "Range" not in request.headers:
        return plain(request)
    size = len(request.content)
    return Reply(206, {"Content-Range": f"bytes {size - 1}-{size - 1}/{size}"}, request.content[-1:])


@server
def range_end_strict(request: Request) -> Reply:
    """Refuses a range that ends behind the file."""
    last = request.headers.get("Range", "").rpartition("-")[2]
    if last and int(last) >= len(request.content):
        return Reply(416, {"Content-Range": f"bytes */{len(request.content)}"})
    return plain(request)


def redirecting(location: str) -> Oddity:
    def serve(request: Request) -> Reply:
        if request.path.startswith("/target"):
            return plain(request)
        return Reply(raw=b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location.encode() + b"\r\n\r\n")

    serve.__doc__ = f"Redirects to {location}, not escaped."
    return serve


SERVERS |= {
    "location-with-space": redirecting("/target/release files/disk.raw"),
    "location-with-brackets": redirecting('/target/disk.raw?files[]=a|b&sig={1}&x=^`<>"'),
    "location-with-backslash": redirecting("/target/disk.raw?path=C:\\images\\disk.raw"),
    "location-with-backslash-in-path": redirecting("/target/images\\disk.raw"),
    "location-in-utf-8": redirecting("/target/镜像/disk.raw"),
    "location-with-percent": redirecting("/target/100%/disk.raw?discount=5%"),
    "location-with-fragment": redirecting("/target/disk.raw#download"),
    "location-of-one-word": redirecting("target.raw"),
}


@server
def seven_redirects(request: Request) -> Reply:
    """Shortener, log-in, region, mirror, storage."""
    hop = int(request.path.removeprefix("/hop") or 0) if request.path.startswith("/hop") else 0
    return plain(request) if hop == 7 else redirected(f"/hop{hop + 1}")


@server
def multiple_choices(request: Request) -> Reply:
    """Redirects with 300, which names the choice it would take."""
    return plain(request) if request.path == "/choice" else Reply(300, {"Location": "/choice"})


@server
def cookie_first(request: Request) -> Reply:
    """Sets a cookie and redirects to the same address."""
    if "session=1" not in request.headers.get("Cookie", ""):
        return redirected(request.target, **{"Set-Cookie": "session=1; Path=/; HttpOnly"})
    return plain(request)


@server
def transformed(request: Request) -> Reply:
    """A proxy that scans downloads answers 203."""
    reply = plain(request)
    return Reply(203 if reply.status == 200 else reply.status, reply.fields, reply.body)


@server
def fields_beyond_ascii(request: Request) -> Reply:
    """Names its file in Latin-1 and in UTF-8, and sends a line that is no field."""
    size = len(request.content)
    head = f"HTTP/1.1 200 Très bien\r\nContent-Disposition: attachment; filename=Süd.raw\r\nno field\r\nContent-Length: {size}"
    return Reply(raw=head.encode("latin-1") + "\r\nX-Name: 镜像\r\n\r\n".encode() + request.content)


def labelled(coding: str) -> Oddity:
    def serve(request: Request) -> Reply:
        reply = plain(request)
        return Reply(reply.status, {**reply.fields, "Content-Encoding": coding}, reply.body)

    serve.__doc__ = f"Labels the file as encoded by {coding}; it is sent as it is."
    return serve


CODINGS = (
    "gzip",
    "x-gzip",
    "x-xz",
    "x-bzip2",
    "zstd",
    "none",
    "binary",
    "aws-chunked",
    "aws-chunked,gzip",
    "UTF-8",
)
SERVERS |= {f"labelled-{coding}": labelled(coding) for coding in CODINGS}


@server
def identity_in_transfer(request: Request) -> Reply:
    """Says what it need not say."""
    reply = plain(request)
    return Reply(reply.status, {**reply.fields, "Transfer-Encoding": "identity"}, reply.body)


@server
def ready_later(request: Request) -> Reply:
    """Fetches the file from an archive first: 202, three times."""
    return Reply(202, {"Retry-After": "1"}) if request.number < 4 else plain(request)


def _head(request: Request) -> bool:
    return request.method == "HEAD"


@dataclass
class OddHttp:
    """A running server. requests: what it was asked, in order."""

    url: str
    requests: list[Request] = field(default_factory=list)


@contextmanager
def odd_http(oddity: str | Oddity, content: bytes | Mapping[str, bytes]) -> Iterator[OddHttp]:
    """Serve a file at every path, or files by their path, in threads of this process."""
    answer, numbers = SERVERS[oddity] if isinstance(oddity, str) else oddity, itertools.count(1)
    running = OddHttp("")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            files = {urlsplit(self.path).path: content} if isinstance(content, bytes) else content
            body = files.get(urlsplit(self.path).path)
            request = Request(self.command, self.path, dict(self.headers), next(numbers), body or b"")
            running.requests.append(request)
            with suppress(OSError):
                self._send(Reply(404) if body is None else answer(request))

        do_HEAD = do_GET

        def _send(self, reply: Reply) -> None:
            if reply.raw is not None:
                self.close_connection = True
                self.wfile.write(reply.raw)
                return
            self.send_response(reply.status)
            for name, value in ({"Content-Length": str(len(reply.body))} | dict(reply.fields)).items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    running.url = f"http://127.0.0.1:{made.server_address[1]}"
    try:
        yield running
    finally:
        made.shutdown()
        made.server_close()
        thread.join(5)
