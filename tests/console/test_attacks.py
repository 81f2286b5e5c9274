"""Whoever keeps the console waiting, on purpose or not, keeps nobody else waiting; slow but honest senders come through."""

import resource
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from random import Random
from urllib.parse import urlsplit

import httpx
import pytest

from tests.console.tus import TUS, creation, piece
from tests.services.accepting import accepting
from tests.services.process import free_port, running
from tests.services.serving import Serving
from tests.services.signed import basic

pytestmark = pytest.mark.xdist_group("console")
OURS = {"X-Imagewright": "1"}
PATIENCE_S = 2.0
BODY_S = 4 * PATIENCE_S
LATE_S = 20.0  # for a machine that is busy
CROWD = 1500


@pytest.fixture(scope="module")
def console(served: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of an impatient console, started as `imagewright serve` starts its own."""
    port, folder = free_port(), tmp_path_factory.mktemp("console")
    environment = {
        **served.environment,
        "PREFECT_API_URL": served.api,
        "IMAGEWRIGHT_CONSOLE_PATIENCE_S": str(PATIENCE_S),
    }
    command = [sys.executable, "-m", "console", "--port", str(port)]
    with running(command, folder, port, environment, within_s=120):
        yield known(f"http://127.0.0.1:{port}", served.auth)


def known(console: str, auth: str) -> str:
    """Return the console's address with the password: whoever attacks may have it."""
    return console.replace("://", f"://{auth}@")


@contextmanager
def silent() -> Iterator[str]:
    """Yield the URL of a file on a server that accepts and never answers."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
    with ExitStack() as stack:

        def accept() -> None:
            while True:
                try:
                    stack.enter_context(listening.accept()[0])
                except OSError:
                    return

        with accepting(listening, accept) as port:
            yield f"http://127.0.0.1:{port}/disk.raw"


def connected(console: str) -> socket.socket:
    address = urlsplit(console)
    return socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=60)


def signature(console: str) -> bytes:
    """Return the header line that gives the password."""
    address = urlsplit(console)
    return b"Authorization: " + basic(f"{address.username}:{address.password}")["Authorization"].encode()


def is_answered(console: str, within_s: float = LATE_S) -> None:
    """Assert that the page and its style sheet come soon."""
    for path in ("/static/console.css", "/"):
        began = time.monotonic()
        assert httpx.get(f"{console}{path}", timeout=30).status_code == 200
        assert time.monotonic() - began < within_s, path


def closed_after(connection: socket.socket, trickle: bytes = b"") -> float:
    """Return after how many seconds the console closes a connection, fed a byte now and then."""
    began = time.monotonic()
    connection.settimeout(0.3)
    while time.monotonic() - began < 60:
        try:
            if trickle:
                connection.sendall(trickle)
            if not connection.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


def test_plans_for_a_silent_source_keep_nobody_else_waiting(console: str) -> None:
    is_answered(console, 30)
    patient = httpx.Client(base_url=console, headers=OURS, timeout=120, limits=httpx.Limits(max_connections=60))
    with silent() as url, patient, ThreadPoolExecutor(60) as pool:
        asked = {"name": "x", "image_format": "raw", "image_path": url}

        def plan(_number: int) -> tuple[int, str, float]:
            began = time.monotonic()
            answer = patient.post("/api/plans/add_volume_image", json=asked)
            return answer.status_code, answer.text, time.monotonic() - began

        plans = [pool.submit(plan, number) for number in range(60)]
        time.sleep(1)
        for _ in range(5):
            is_answered(console, LATE_S)
            time.sleep(1)
        found = [done.result() for done in plans]
    assert {status for status, _, _ in found} <= {422, 503}
    assert all("error" in text for _, text, _ in found)
    assert max(seconds for _, _, seconds in found) < 20 + LATE_S


def test_half_sent_heads_are_cut_off_and_keep_nobody_out(console: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = min(CROWD, hard - 300)
    try:
        with ExitStack() as stack:
            began, sockets = time.monotonic(), []
            for _ in range(crowd):
                one = stack.enter_context(connected(console))
                one.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
                sockets.append(one)
            is_answered(console, LATE_S)
            for one in sockets:
                closed_after(one)
            assert time.monotonic() - began < PATIENCE_S + 2 * LATE_S
            is_answered(console)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("begun", "trickle", "within_s"),
    [
        (b"", b"", PATIENCE_S),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ", b"a", PATIENCE_S),
        (b"POST /api/flows/delete_image HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Imagewright: 1\r\nContent-Length: 9999\r\n\r\n{", b"a", BODY_S),
        (b"POST /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Imagewright: 1\r\nContent-Length: 9999\r\n\r\n{", b"a", PATIENCE_S),
        (b"GET /static/icon.svg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET / HTTP/1.1\r\nX-", b"a", 2 * PATIENCE_S),
    ],
    ids=["nothing", "a head", "a body", "the rest of a body that nobody reads", "a second head"],
)  # fmt: skip
def test_a_trickle_does_not_keep_a_connection(console: str, begun: bytes, trickle: bytes, within_s: float) -> None:
    begun = begun.replace(b"X-Imagewright: 1", b"X-Imagewright: 1\r\n" + signature(console))
    with connected(console) as one:
        one.sendall(begun)
        assert closed_after(one, trickle) < within_s + LATE_S


def test_a_slow_upload_goes_on_and_a_stalled_one_is_kept_and_cut_off(console: str) -> None:
    data = Random(1).randbytes(40)
    with httpx.Client(base_url=console, timeout=60) as client:
        place = client.post("/uploads", headers=creation(len(data) + 1)).headers["Location"]

        def slowly() -> Iterator[bytes]:
            for at in range(len(data) // 2):
                yield data[at : at + 1]
                time.sleep(PATIENCE_S / 4)

        began = time.monotonic()
        answer = client.patch(place, content=slowly(), headers={**piece(0), "Transfer-Encoding": "chunked"})
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, "20")
        assert time.monotonic() - began > BODY_S
        with connected(console) as one:
            head = f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 21\r\n"
            head += (
                "".join(f"{name}: {value}\r\n" for name, value in piece(20).items())
                + signature(console).decode()
                + "\r\n"
            )
            one.sendall(head.encode() + b"\r\n" + data[20:30])
            assert BODY_S - 1 < closed_after(one) < BODY_S + LATE_S
        deadline = time.monotonic() + LATE_S  # what came is written after the connection is closed
        while (offset := client.head(place, headers=TUS).headers["Upload-Offset"]) != "30":
            assert (offset, time.monotonic() < deadline) == ("20", True)
            time.sleep(0.05)
        client.delete(place, headers=TUS)
