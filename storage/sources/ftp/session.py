"""The control connection to an FTP server, and the data connections it opens (RFC 959, RFC 2428)."""

import ftplib
import socket
import time
from contextlib import closing, suppress

from storage.sources.network.addresses import AddressPolicy
from storage.sources.network.wire import MAX_LINE, Broken, Wire
from storage.sources.urls import SourceUrl

MAX_LISTING = 1 << 20


class CheckedFtp(ftplib.FTP):
    """ftplib over a connection made under the address policy. Raises Broken if the connection breaks.

    The address in a PASV answer is ignored: data comes only from the server that was checked. Answers are read here
    because ftplib waits as long for each byte as for the first, accepts endless lines, and fails on a greeting that is
    not UTF-8, as many Latin-1 servers send.
    """

    def __init__(self, rules: AddressPolicy, url: SourceUrl, timeout_s: float) -> None:
        super().__init__(timeout=timeout_s)
        self._rules, self._url, self._timeout_s = rules, url, timeout_s
        self.sock = rules.connect(url.host, url.port, url.masked)
        self.host, self.af = str(self.sock.getpeername()[0]), self.sock.family
        self._control = Wire(self.sock, self.host, 0.0, timeout_s)
        self._room = 0  # bytes that the answer may still have
        try:
            self.welcome = self.getresp()
        except BaseException:
            self.close()
            raise

    def putline(self, line: str) -> None:
        """Send a line; a name that is not UTF-8 is sent as the bytes escaped in the URL."""
        self._control.send(f"{line}\r\n".encode("utf-8", "surrogateescape"))

    def getline(self) -> str:
        """Read a line of an answer."""
        line = self._control.readline()
        self._room -= len(line)
        if self._room < 0:
            raise Broken("the server sent an answer longer than 64 KiB")
        return line.decode("utf-8", "surrogateescape").rstrip("\r\n")

    def getmultiline(self) -> str:
        """Read a whole answer within one read timeout."""
        self._control.set_deadline(self._timeout_s)
        self._room = MAX_LINE
        return super().getmultiline()

    def begin(self, command: str, start: int = 0, *, brief: bool = False) -> socket.socket:
        """Begin a transfer at byte `start` and return its data connection. brief: only little of it will be read."""
        _, port = self.makepasv()
        if not 0 < port < 65536:
            raise Broken(f"the server offers its data at port {port}")
        data = self._rules.connect(self.host, port, self._url.masked, brief=brief)
        try:
            data.settimeout(self._timeout_s)
            if start:
                self.sendcmd(f"REST {start}")
            if not (answer := self.sendcmd(command)).startswith("1"):
                raise Broken(f"the server said {answer[:80]!r} instead of sending")
        except BaseException:
            data.close()
            raise
        return data

    def names(self, folder: str) -> frozenset[str] | None:
        """Return the names in a folder; None if they exceed 1 MiB or come too slowly."""
        listing, end = bytearray(), time.monotonic() + self._timeout_s
        with closing(self.begin(f"NLST {folder}".rstrip(), brief=True)) as data:
            while piece := data.recv(64 << 10):
                listing += piece
                if len(listing) > MAX_LISTING or time.monotonic() > end:
                    return None
        self.voidresp()
        lines = listing.decode("utf-8", "surrogateescape").splitlines()
        return frozenset(line.rstrip("/").rpartition("/")[2] for line in lines)

    def lists(self, path: str) -> bool:
        """Tell whether the server lists anything at `path`.

        ftplib's nlst reads a listing of any length, and leaves the connection in ASCII mode.
        """
        with closing(self.begin(f"NLST {path}", brief=True)) as data:
            found = bool(data.recv(1))
        with suppress(ftplib.Error):  # the server may object to the unread rest
            self.voidresp()
        return found
