"""ftp:// sources, passive mode only (RFC 959, RFC 3659)."""

import ftplib
import re
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager

from catalog.errors import SourceForbidden, SourceNotFound, TransferInterrupted, UnsafeImage
from catalog.settings import Settings
from storage.protocols import SourceInfo, SourceStream
from storage.sources.credentials import Credentials
from storage.sources.ftp.session import CheckedFtp
from storage.sources.masking import told
from storage.sources.network.addresses import policy
from storage.sources.network.stall import MinimumRate
from storage.sources.network.wire import Broken, explain
from storage.sources.same_file import require_same
from storage.sources.streams import EmptyStream, read_up_to, skip
from storage.sources.urls import SourceUrl


class FtpSource:
    """A file on an FTP server. The path is relative to the login folder; `%2F` at its start makes it absolute."""

    def __init__(self, url: SourceUrl, settings: Settings, credentials: Credentials) -> None:
        self.url, self.settings = url, settings
        self.policy = policy(settings)
        given = credentials.or_url(url)
        self._user, self._password = given.user or "anonymous", given.password or ""
        self.path = url.decoded_path.removeprefix("/")
        if re.search(r"[\x00-\x1f\x7f]", self.path + self._user + self._password):
            raise SourceForbidden(url.masked, "it has a control character")

    def probe(self) -> SourceInfo:
        """Query size and time; a server that accepts REST can resume."""
        with self._translated(0), closing(self._log_in()) as session:
            return self.look(session)

    def peek(self, size: int) -> bytes:
        """Return up to `size` first bytes, then abort the transfer."""
        with self._translated(0), closing(self._transfer(self._log_in(), 0, None)) as stream:
            return read_up_to(stream, size)

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on, over a connection that has just reported the same size and time."""
        with self._translated(offset):
            session = self._log_in()
            try:
                require_same(self.url.masked, info, self.look(session))
                if info.size_bytes is not None and info.size_bytes == offset:
                    session.close()
                    return closing(EmptyStream())
                start = offset if info.resumable else 0
                stream = self._transfer(session, start, info)
                skip(stream, offset - start, self.url.masked)
            except BaseException:
                session.close()
                raise
            return closing(stream)

    def _log_in(self) -> CheckedFtp:
        session = CheckedFtp(self.policy, self.url, self.settings.read_timeout_s)
        try:
            session.login(self._user, self._password)
            session.voidcmd("TYPE I")
        except BaseException:
            session.close()
            raise
        return session

    def look(self, session: CheckedFtp) -> SourceInfo:
        """Query size, time and whether a transfer can begin in the middle."""
        size = self._size(session)
        modified = _ask(session, f"MDTM {self.path}")
        restarts = _takes_restart(session)
        return SourceInfo(
            url=self.url.masked,
            size_bytes=size,
            last_modified=modified,
            resumable=restarts and size is not None and bool(modified),
            address=str(session.host),
        )

    def _size(self, session: CheckedFtp) -> int | None:
        """Return the size, None if the server does not know SIZE. Raises SourceNotFound."""
        try:
            size = _number(_ask(session, f"SIZE {self.path}"))
            if size is None and not session.lists(self.path):
                raise SourceNotFound(self.url.masked, "the server knows no such file")
        except ftplib.error_temp as error:
            self._require_listed(session, error)
            raise
        except ftplib.error_perm as error:  # of the listing
            raise SourceNotFound(self.url.masked, self.said(error)) from None
        return size

    def _require_listed(self, session: CheckedFtp, said: ftplib.error_temp) -> None:
        """Tell a busy file from an absent one: 450 means busy, but some servers answer it for absent files."""
        if not str(said).startswith("450"):
            return
        folder, _, name = self.path.rpartition("/")
        try:
            names = session.names(folder or "/" * self.path.startswith("/"))
        except ftplib.Error:
            return
        if names is not None and name not in names:
            raise SourceNotFound(self.url.masked, self.said(said)) from None

    def _transfer(self, session: CheckedFtp, start: int, info: SourceInfo | None) -> "FtpStream":
        data = session.begin(f"RETR {self.path}", start, brief=info is None)
        pace = MinimumRate(self.settings.read_timeout_s, self.settings.min_pace_bytes_s)
        return FtpStream(session, data, start, info, pace, self)

    def said(self, error: BaseException) -> str:
        """Return the server's message, fit to be shown.

        The error itself is not fit, and is never the cause of what is raised for it.
        """
        text = told(str(error), self._password)
        return f"the server said {text!r}" if text else "the server said nothing"

    @contextmanager
    def _translated(self, offset: int) -> Iterator[None]:
        """Translate ftplib's errors by their meaning."""
        masked = self.url.masked
        try:
            yield
        except ftplib.error_perm as error:
            if str(error).startswith("550"):
                raise SourceNotFound(masked, self.said(error)) from None
            raise SourceForbidden(masked, self.said(error)) from None
        except ftplib.Error as error:
            raise TransferInterrupted(masked, offset, self.said(error)) from None
        except Broken as error:
            raise TransferInterrupted(masked, offset, told(str(error), self._password)) from None
        except OSError as error:
            raise TransferInterrupted(masked, offset, explain(error)) from error


class FtpStream:
    """A running transfer. Its end counts only at the announced size and after the server's confirmation."""

    def __init__(
        self,
        session: CheckedFtp,
        data: socket.socket,
        offset: int,
        info: SourceInfo | None,
        pace: MinimumRate,
        source: FtpSource,
    ) -> None:
        self._session, self._data, self._offset, self._info = session, data, offset, info
        self._pace, self._source, self._masked, self._ended = pace, source, source.url.masked, False
        self._size = info.size_bytes if info is not None else None

    def readinto(self, buffer: memoryview, /) -> int:
        """Read available bytes."""
        if self._ended:
            return 0
        started = time.monotonic()
        try:
            size = self._data.recv_into(buffer)
            if size:
                self._pace.note(started, size)
        except OSError as error:
            raise TransferInterrupted(self._masked, self._offset, explain(error)) from error
        except Broken as error:
            raise TransferInterrupted(self._masked, self._offset, str(error)) from error
        self._offset += size
        self._hold_to_size()
        if not size:
            self._end()
        return size

    def _hold_to_size(self) -> None:
        """End a transfer that exceeds its announced size: the file has grown, or the server lies or never ends."""
        if self._size is None and self._offset > self._source.settings.max_virtual_size:
            raise UnsafeImage([f"source.size: {self._masked} sends more than {self._offset - 1} bytes"])
        if self._info is None or self._size is None or self._offset <= self._size:
            return
        self.close()
        require_same(self._masked, self._info, self._source.probe())
        raise SourceForbidden(self._masked, f"the server sends more than the {self._size} bytes it announced")

    def close(self) -> None:
        """Close both connections without QUIT; a server takes that as an abort."""
        self._data.close()
        self._session.close()

    def _end(self) -> None:
        self._data.close()
        try:
            self._session.voidresp()
            if self._info is not None:
                require_same(self._masked, self._info, self._source.look(self._session))
        except ftplib.Error as error:
            raise TransferInterrupted(
                self._masked, self._offset, f"the server broke off: {self._source.said(error)}"
            ) from None
        except (Broken, OSError) as error:
            raise TransferInterrupted(self._masked, self._offset, explain(error)) from error
        if self._size is not None and self._offset != self._size:
            raise TransferInterrupted(self._masked, self._offset, f"the server stopped short of {self._size} bytes")
        self._ended = True


def _ask(session: ftplib.FTP, command: str) -> str | None:
    """Return the answer to SIZE or MDTM, None if the server does not know the command or the file."""
    try:
        answer = session.sendcmd(command)
    except ftplib.error_perm:
        return None
    return answer[3:].strip() if re.fullmatch(r"213[ -~]{1,60}", answer) else None


def _number(answer: str | None) -> int | None:
    """Return the size from an answer to SIZE, None if it is no plausible number."""
    text = answer or ""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _takes_restart(session: ftplib.FTP) -> bool:
    try:
        taken = session.sendcmd("REST 1").startswith("350")
        session.sendcmd("REST 0")
    except ftplib.error_perm:
        return False
    return taken
