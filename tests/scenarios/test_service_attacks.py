"""Whoever is not let in, or plays tricks with the protocol, on a real service: nothing is learnt and nobody else waits."""

import json
import os
import resource
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.scenarios.test_service import WAIT_S
from tests.services.patient import Patient
from tests.services.process import children
from tests.services.serving import Serving

pytestmark = pytest.mark.xdist_group("browser")
SIZE = 96 << 20


@pytest.fixture(scope="module")
def image(served: Serving, root: dict[str, str]) -> str:
    """Return an image of a large disk beside the home."""
    large = served.home.parent / "large.raw"
    large.write_bytes(os.urandom(SIZE))
    asked = {"name": "disk", "image_format": "raw", "image_path": large.as_uri()}
    with Patient(base_url=f"{served.console}/api/v1", timeout=WAIT_S + 30) as api:
        added = api.post("/operations/add-volume-image", json=asked, headers=root, params={"wait": WAIT_S})
    assert added.json()["state"] == "Completed", added.text
    return str(added.json()["result"]["id"])


def connected(served: Serving) -> socket.socket:
    url = httpx.URL(served.console)
    assert url.port is not None
    return socket.create_connection((url.host, url.port), timeout=30)


def said(served: Serving, raw: bytes) -> bytes:
    """Send bytes as they are and return all that is answered until the connection ends."""
    with connected(served) as connection:
        connection.sendall(raw)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
        return answer


HIDDEN = b"GET /api/v1/identities HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(HIDDEN),
        b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(HIDDEN),
        b"Transfer-Encoding: identity, chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: +0\r\n",
    ],
)
def test_no_second_request_is_smuggled_in_a_body(served: Serving, headers: bytes) -> None:
    first = b"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" + headers
    answer = said(served, first + b"Connection: close\r\n\r\n" + HIDDEN)
    assert answer.startswith(b"HTTP/1.1 4")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "given",
    [b"Authorization: Bearer x\r\n Bearer y\r\n", b"Authorization: Bearer \x00\r\n", b"Authorization:" + b"A" * 70_000 + b"\r\n",
     b"Authorization: Bearer " + b"iw_" * 5000 + b"\r\n"],
)  # fmt: skip
def test_headers_that_are_none_let_nobody_in(served: Serving, given: bytes) -> None:
    raw = b"GET /api/v1/whoami HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + given + b"\r\n"
    answer = said(served, raw)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 431"))


def test_a_body_that_does_not_come_is_not_waited_for(served: Serving) -> None:
    began = time.monotonic()
    with connected(served) as connection:
        connection.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        connection.settimeout(60)
        assert connection.recv(1 << 16) == b""
    assert time.monotonic() - began < 60


def _memory(served: Serving) -> int:
    """Return the bytes of memory of the console's process."""
    pid = json.loads((served.home / "run" / "server.json").read_text())["pid"]
    console = next(one for one in children(pid) if b"console" in Path(f"/proc/{one}/cmdline").read_bytes())
    return int(Path(f"/proc/{console}/statm").read_text().split()[1]) * resource.getpagesize()


def test_readers_that_do_not_read_take_no_memory_and_keep_nobody_waiting(
    served: Serving, root: dict[str, str], image: str
) -> None:
    request = f"GET /api/v1/images/{image}/content HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {root['Authorization']}\r\n\r\n"
    before, slow = _memory(served), [connected(served) for _ in range(20)]
    try:
        for connection in slow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(request.encode())
        time.sleep(1)
        url = f"{served.console}/api/v1/images/{image}/content"
        with httpx.stream("GET", url, headers=root, timeout=120) as whole:
            assert sum(len(piece) for piece in whole.iter_bytes()) == SIZE
        assert _memory(served) - before < 300 << 20
    finally:
        for connection in slow:
            connection.close()
