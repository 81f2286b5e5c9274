"""One connection: bytes in and out under deadlines, straight into the caller's buffer.

http.client is unsuitable: its reads loop until the buffer is full, so a server that sends one byte a minute never trips
a socket timeout. Here every read returns the available bytes, and the waiting time is checked against a minimum rate.
"""

import contextlib
import socket
import ssl
import time
from functools import lru_cache
from pathlib import Path

from catalog.errors import InvalidRequest, SourceForbidden
from storage.sources.network.addresses import AddressPolicy, NoConnection, round_trip_s
from storage.sources.urls import SourceUrl

MAX_LINE = 64 << 10


class Broken(Exception):
    """The connection broke or stalled; callers that know the offset turn it into a TransferInterrupted."""


class Wire:
    """A connected socket with its read-ahead bytes. Not thread-safe."""

    def __init__(self, sock: socket.socket, address: str, round_trip_s: float, timeout_s: float) -> None:
        self.sock, self.address, self.round_trip_s = sock, address, round_trip_s
        self.timeout_s = timeout_s  # of waiting for one byte
        self._spare = memoryview(b"")
        self._deadline: float | None = None

    def send(self, data: bytes) -> None:
        """Send everything."""
        try:
            self.sock.settimeout(self.timeout_s)
            self.sock.sendall(data)
        except OSError as error:
            raise Broken(explain(error)) from error

    def set_deadline(self, seconds: float | None) -> None:
        """Bound all reads together to `seconds` from now, or lift the bound."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes, at least one; 0 when the other end has closed."""
        if self._spare:
            taken = min(len(self._spare), len(buffer))
            buffer[:taken] = self._spare[:taken]
            self._spare = self._spare[taken:]
            return taken
        return self._receive(buffer)

    def readline(self) -> bytes:
        """Read up to and including the next newline. Raises Broken if there is none within 64 KiB."""
        line = bytearray()
        while len(line) <= MAX_LINE:
            if not self._spare:
                block = bytearray(8192)
                self._spare = memoryview(block)[: self._receive(memoryview(block))]
                if not self._spare:
                    raise Broken("the connection was closed in the middle of an answer")
            found = bytes(self._spare).find(b"\n") + 1
            taken = found or len(self._spare)
            line += self._spare[:taken]
            self._spare = self._spare[taken:]
            if found:
                return bytes(line)
        raise Broken("the server sent a line longer than 64 KiB")

    def close(self) -> None:
        """Close the connection."""
        self._spare = memoryview(b"")
        self.sock.close()

    def abort(self) -> None:
        """Break the connection from another thread; a waiting read ends with Broken or 0."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # SSLSocket's own is not safe across threads

    def _receive(self, buffer: memoryview) -> int:
        left = self.timeout_s if self._deadline is None else self._deadline - time.monotonic()
        try:
            self.sock.settimeout(max(min(left, self.timeout_s), 0.001))
            return self.sock.recv_into(buffer)
        except OSError as error:
            raise Broken(explain(error)) from error


def dial(
    url: SourceUrl, policy: AddressPolicy, read_timeout_s: float, ca_file: Path | None, *, brief: bool = False
) -> Wire:
    """Connect to the host of `url`, with TLS for https.

    Raises SourceForbidden for a refused address or a certificate that cannot be trusted, SourceNotFound for a host
    that does not exist, TransferInterrupted if nothing answers.
    """
    sock = policy.connect(url.host, url.port, url.masked, brief=brief)
    seconds = round_trip_s(sock)
    address = str(sock.getpeername()[0])
    if url.scheme == "https":
        sock = _secure(sock, url, ca_file)
    return Wire(sock, address, seconds, read_timeout_s)


def _secure(sock: socket.socket, url: SourceUrl, ca_file: Path | None) -> socket.socket:
    try:
        return tls_context(ca_file).wrap_socket(sock, server_hostname=url.host)
    except ssl.SSLCertVerificationError as error:
        sock.close()
        reason = f"its certificate cannot be trusted ({error.verify_message}); IMAGEWRIGHT_CA_FILE adds an authority"
        raise SourceForbidden(url.masked, reason) from error
    except OSError as error:
        sock.close()
        raise NoConnection(url.masked, 0, f"no TLS connection: {explain(error)}") from error


@lru_cache(maxsize=8)
def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a verifying context: the system's authorities and those in `ca_file`."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InvalidRequest("ca_file", str(ca_file), "the path of a readable PEM file") from error
    return context


def explain(error: BaseException) -> str:
    """Explain a network error in a few words."""
    if isinstance(error, TimeoutError):
        return "no byte came in time"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "the other end broke the connection"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or "the connection failed"
