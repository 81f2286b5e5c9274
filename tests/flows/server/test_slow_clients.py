"""Connections that are watched, with uvicorn and sockets as they are used: who does not go on is cut off, others are not."""

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from flows.server.guard import LOOPBACK, Guard
from flows.server.slow_clients import Watched
from tests.services.process import free_port

PATIENCE_S = 0.5
LATE_S = 20.0


async def taken(request: Request) -> Response:
    return Response(str(len(await request.body())))


async def conversation(websocket: WebSocket) -> None:
    """Ask for a word first, as Prefect asks for the password, and repeat what comes."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    routes = [Route("/", taken, methods=["GET", "POST"]), WebSocketRoute("/events", conversation)]
    app = Guard(Starlette(routes=routes), LOOPBACK, PATIENCE_S)
    chosen = free_port()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=chosen, log_level="error", http=Watched.with_patience(PATIENCE_S)
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield chosen
    server.should_exit = True
    thread.join(LATE_S)


def is_closed(one: socket.socket) -> bool:
    """Tell whether the server ends a connection soon."""
    one.settimeout(LATE_S)
    try:
        while one.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ", b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n1",
     b"PATCH /uploads/1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n1"],
    ids=["nothing", "a head", "a body", "an upload where there are none"],
)  # fmt: skip
def test_who_does_not_go_on_is_cut_off(port: int, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(begun)
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "0"
        assert is_closed(one)


def test_a_websocket_without_its_first_words_is_closed(port: int) -> None:
    with (
        connect(f"ws://127.0.0.1:{port}/events", proxy=None) as one,
        pytest.raises(ConnectionClosed),
    ):
        one.recv(timeout=LATE_S)


def test_a_websocket_that_has_spoken_may_be_silent(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/events", proxy=None) as one:
        for word in ("first", "later"):
            one.send(word)
            assert one.recv(timeout=LATE_S) == word
            time.sleep(6 * PATIENCE_S)
