"""A TCP proxy that counts what passes and can break, slow down or delay it."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.accepting import accepting

BLOCK = 64 << 10
SETTLE_S = 10.0
ESTABLISHED = 1  # of the states in linux/tcp.h


@dataclass
class Proxy:
    """A running proxy."""

    port: int
    target: tuple[str, int] | str  # an address, or the path of a socket
    bytes_sent: int = 0  # from server to clients
    bytes_received: int = 0  # from clients to server
    cut_sending_after: int | None = None  # break everything once so many more bytes of clients have passed
    connections: int = 0
    cut_after: int | None = None  # break everything once so many more bytes have passed
    delay_s: float = 0.0  # before each request: the round trip
    rate_bytes_s: int = 0  # per connection
    pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)
    sending: set[socket.socket] = field(default_factory=set)  # the clients' sockets that a thread sends to
    lock: threading.Lock = field(default_factory=threading.Lock)

    def cut(self) -> None:
        """Break every connection."""
        with self.lock:
            for pair in self.pairs:
                for sock in pair:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
            self.pairs.clear()

    def settled(self) -> int:
        """Return `bytes_sent` as it stays where the clients ask for nothing: whatever goes to one that has left, has gone.

        The kernel took bytes for a client that closed its connection, and the thread that hands them over comes later.
        """
        until = time.monotonic() + SETTLE_S
        while any(_has_left(client) for client in self.sending.copy()):
            assert time.monotonic() < until, "bytes still pass to a client that has left"
            time.sleep(0.005)
        return self.bytes_sent

    def passed(self, size: int) -> int:
        """Count bytes that want to pass; return how many may."""
        with self.lock:
            allowed = size if self.cut_after is None else min(size, self.cut_after)
            self.bytes_sent += allowed
            if self.cut_after is not None:
                self.cut_after -= allowed
        return allowed


@contextmanager
def proxy(target: int | Path, target_host: str = "127.0.0.1", at: str = "127.0.0.1") -> Iterator[Proxy]:
    """Forward a port of our own, at an address of ours, to a port or to a socket in the file system."""
    listener = socket.create_server((at, 0), backlog=64)
    made = Proxy(listener.getsockname()[1], str(target) if isinstance(target, Path) else (target_host, target))
    try:
        with accepting(listener, lambda: _accept(listener, made)):
            yield made
    finally:
        made.cut()


def _accept(listener: socket.socket, made: Proxy) -> None:
    while True:
        try:
            client = listener.accept()[0]
        except OSError:
            return
        made.connections += 1
        try:
            server = _reach(made.target)
        except OSError:
            client.close()
            continue
        for sock in (client, server):
            sock.settimeout(None)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with made.lock:
            made.pairs.append((client, server))
        made.sending.add(client)
        threading.Thread(target=_up, args=(client, server, made), daemon=True).start()
        threading.Thread(target=_down, args=(client, server, made), daemon=True).start()


def _reach(target: tuple[str, int] | str) -> socket.socket:
    if not isinstance(target, str):
        return socket.create_connection(target, 10)
    reached = socket.socket(socket.AF_UNIX)
    reached.connect(target)
    return reached


def _up(client: socket.socket, server: socket.socket, made: Proxy) -> None:
    with contextlib.suppress(OSError):
        while block := client.recv(BLOCK):
            time.sleep(made.delay_s)
            if made.cut_sending_after is not None:
                made.cut_sending_after -= len(block)
                if made.cut_sending_after < 0:
                    made.cut_sending_after = None
                    made.cut()
                    return
            made.bytes_received += len(block)
            server.sendall(block)
    _end(client, server, socket.SHUT_WR)


def _has_left(client: socket.socket) -> bool:
    """Tell whether the other end closed the connection: the kernel knows at once."""
    try:
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != ESTABLISHED
    except OSError:
        return False  # closed here


def _down(client: socket.socket, server: socket.socket, made: Proxy) -> None:
    try:
        with contextlib.suppress(OSError):
            while block := server.recv(BLOCK):
                allowed = made.passed(len(block))
                client.sendall(block[:allowed])
                if allowed < len(block):
                    made.cut_after = None
                    made.cut()
                    return
                time.sleep(allowed / made.rate_bytes_s if made.rate_bytes_s else 0)
        _end(server, client, socket.SHUT_WR)
    finally:
        made.sending.discard(client)


def _end(read: socket.socket, written: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        written.shutdown(how)
    with contextlib.suppress(OSError):
        read.shutdown(socket.SHUT_RD)
