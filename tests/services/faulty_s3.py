"""A reverse proxy before a real S3 server that misbehaves as told: errors, throttling, dropped and slow connections."""

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["none", "500", "503", "drop", "lose answer", "slow", "cut body", "delete nothing"]
Plan = Callable[[int, str, str], Fault]
SLOW_DOWN = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>reduce your request rate</Message></Error>'

NOTHING_DELETED = (
    b'<?xml version="1.0"?><DeleteResult><Error><Key>a key</Key><Code>AccessDenied</Code>'
    b"<Message>it is locked</Message></Error></DeleteResult>"
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        assert isinstance(self.server, FaultyS3)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.next_fault(self.command, self.path)
        if fault == "drop":
            self._hang_up()
        elif fault in ("500", "503"):
            self._answer(int(fault), {"Content-Type": "application/xml"}, SLOW_DOWN)
        elif fault == "delete nothing":
            self._answer(200, {"Content-Type": "application/xml"}, NOTHING_DELETED)
        else:
            if fault == "slow":
                time.sleep(0.3)
            self._pass_on(self.server.behind, body, fault)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any  # the names that http.server looks for

    def log_message(self, *_arguments: object) -> None:
        return None

    def _pass_on(self, behind: str, body: bytes, fault: Fault) -> None:
        connection = http.client.HTTPConnection(urlsplit(behind).netloc, timeout=30)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "connection")}
        connection.close()
        if fault == "lose answer":
            self._hang_up()
        else:
            self._answer(answer.status, headers, content, cut=fault == "cut body")

    def _answer(self, status: int, headers: dict[str, str], content: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        length = headers.get("Content-Length", str(len(content)))
        for name, value in {**headers, "Content-Length": length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)


class FaultyS3(ThreadingHTTPServer):
    """plan: (number of the request, method, path) → what to do with it."""

    daemon_threads = True

    def __init__(self, behind: str, plan: Plan) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.plan = behind, plan
        self.requests = 0
        self._lock = Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_fault(self, method: str, path: str) -> Fault:
        with self._lock:
            number = self.requests
            self.requests += 1
        return self.plan(number, method, path)

    def handle_error(self, *_arguments: object) -> None:
        """Say nothing: a client that hung up is expected here."""


@contextmanager
def faulty_s3(behind: str, plan: Plan) -> Iterator[FaultyS3]:
    """Run the proxy."""
    with FaultyS3(behind, plan) as proxy:
        Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        yield proxy
        proxy.shutdown()
