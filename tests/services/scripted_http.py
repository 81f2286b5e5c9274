"""A server that says to each request just what a test wrote for it, true or not; and what it was asked."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.services.accepting import accepting

Answers = Callable[[str], Iterator[bytes]]
"""From the head of a request to the bytes that are sent; the connection is closed afterwards."""


@dataclass
class Scripted:
    """A running server. heads: of the requests that came."""

    port: int
    heads: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    """Return an answer that keeps its word."""
    said = {
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        **{n.replace("_", "-"): v for n, v in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


@contextmanager
def scripted(answers: Answers | bytes, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Answer on a port of loopback. answers: to every request the same bytes, or by its head."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=16)
    made = Scripted(listener.getsockname()[1])
    say: Answers = (lambda _head: iter([answers])) if isinstance(answers, bytes) else answers
    with accepting(listener, lambda: _accept(listener, made, say, tls)):
        yield made


def _accept(listener: socket.socket, made: Scripted, say: Answers, tls: ssl.SSLContext | None) -> None:
    while True:
        try:
            client = listener.accept()[0]
        except OSError:
            return
        threading.Thread(target=_talk, args=(client, made, say, tls), daemon=True).start()


def _talk(client: socket.socket, made: Scripted, say: Answers, tls: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError), client:
        spoken = tls.wrap_socket(client, server_side=True) if tls else client
        with spoken, spoken.makefile("rb") as lines:
            head = ""
            while (line := lines.readline()) not in (b"\r\n", b""):
                head += line.decode("latin-1")
            made.heads.append(head)
            for part in say(head):
                spoken.sendall(part)
