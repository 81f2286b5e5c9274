"""sftp:// sources, with a password or a key, host keys always checked (asyncssh: paramiko reads a third as fast)."""

import stat
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing, contextmanager

import asyncssh

from catalog.errors import SourceForbidden, TransferInterrupted
from catalog.settings import Settings
from storage.protocols import SourceInfo, SourceStream
from storage.sources.credentials import Credentials
from storage.sources.network.addresses import policy
from storage.sources.same_file import require_same
from storage.sources.sftp.session import Session, translated
from storage.sources.urls import SourceUrl

PIECE = 128 << 10
AHEAD = 32  # pieces requested beyond the one being read: 4 MiB, lost when the process dies
# MB/s on loopback with 4 MiB ahead: pieces of 64 KiB 215, 128 KiB 342, 256 KiB 343, 1 MiB 297.


class SftpSource:
    """A file on an SSH server, by absolute path; `/~/` at the start means the login folder."""

    def __init__(self, url: SourceUrl, settings: Settings, credentials: Credentials) -> None:
        self.url, self.settings = url, settings
        self.policy, self.credentials = policy(settings), credentials.or_url(url)
        self.path = url.decoded_path.removeprefix("/~/")
        if self.credentials.user is None:
            raise SourceForbidden(url.masked, "it names no user; write sftp://user@host/path")
        if "\0" in self.path:
            raise SourceForbidden(url.masked, "it has a control character")

    def probe(self) -> SourceInfo:
        """Query size and time."""
        with self._translated(0), closing(self._session()) as session:
            return self.describe(session, session.wait(session.start(session.sftp.stat(self.path))))

    def peek(self, size: int) -> bytes:
        """Return up to `size` first bytes."""
        with self._translated(0), closing(self._session()) as session:
            file = session.wait(session.start(_open(session.sftp, self.path)))
            return session.wait(session.start(_read(file, size, 0)))

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on; size and time are those of the opened file."""
        with self._translated(offset):
            session = self._session()
            stream = self._stream(session, offset, info.size_bytes or 0, info)
            try:
                stream.require_unchanged()
            except BaseException:
                stream.close()
                raise
        return closing(stream)

    def _session(self) -> Session:
        return Session(self.url, self.settings, self.credentials, self.policy)

    def _stream(self, session: Session, offset: int, end: int, info: SourceInfo) -> "SftpStream":
        try:
            file = session.wait(session.start(_open(session.sftp, self.path)))
        except BaseException:
            session.close()
            raise
        return SftpStream(session, file, offset, end, info, self)

    def describe(self, session: Session, facts: asyncssh.SFTPAttrs) -> SourceInfo:
        """Return the validators of a file with these attributes."""
        if facts.permissions is not None and not stat.S_ISREG(facts.permissions):
            raise SourceForbidden(self.url.masked, "it is not a regular file")
        if facts.size is None:
            raise SourceForbidden(self.url.masked, "the server does not say its size")
        modified = None if facts.mtime is None else str(facts.mtime)
        return SourceInfo(
            url=self.url.masked,
            size_bytes=facts.size,
            last_modified=modified,
            resumable=modified is not None,
            address=session.address,
        )

    @contextmanager
    def _translated(self, offset: int) -> Iterator[None]:
        with translated(self.url.masked, offset, self.settings.known_hosts_file, self.credentials.password):
            yield

    def interrupted(self, offset: int) -> AbstractContextManager[None]:
        """Translate errors that occur at `offset`."""
        return self._translated(offset)


class SftpStream:
    """Pieces of a file, requested ahead of the reader, returned in order."""

    def __init__(
        self,
        session: Session,
        file: asyncssh.SFTPClientFile,
        offset: int,
        end: int,
        info: SourceInfo,
        source: SftpSource,
    ) -> None:
        self._file, self._info = file, info
        self._session, self._offset, self._asked, self._end, self._source = (session, offset, offset, end, source)
        self._ahead: deque[Future[bytes]] = deque()
        self._piece = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Return available bytes of the current piece."""
        if not self._piece:
            if self._offset >= self._end:
                self._require_end()
                return 0
            self._piece = self._next()
        size = min(len(self._piece), len(buffer))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        self._offset += size
        return size

    def require_unchanged(self) -> None:
        """Raise SourceChanged if the open file is not the initial one."""
        with self._source.interrupted(self._offset):
            facts = self._session.wait(self._session.start(self._file.stat()))
        require_same(self._source.url.masked, self._info, self._source.describe(self._session, facts))

    def _require_end(self) -> None:
        """Raise SourceForbidden if the file exceeds the size the server reports: the part would pass for the whole."""
        self.require_unchanged()
        with self._source.interrupted(self._offset):
            more = self._session.wait(self._session.start(_read(self._file, 1, self._end)))
        if more:
            raise SourceForbidden(
                self._source.url.masked, f"the server sends more than the {self._end} bytes it announced"
            )

    def close(self) -> None:
        """Break the connection."""
        self._piece = memoryview(b"")
        self._session.close()

    def _next(self) -> memoryview:
        while len(self._ahead) <= AHEAD and self._asked < self._end:
            size = min(PIECE, self._end - self._asked)
            self._ahead.append(self._session.start(_read(self._file, size, self._asked)))
            self._asked += size
        begun = self._ahead.popleft()
        with self._source.interrupted(self._offset):
            piece = self._session.wait(begun)
        if len(piece) < min(PIECE, self._end - self._offset):
            raise TransferInterrupted(self._source.url.masked, self._offset, f"it ends before byte {self._end}")
        return memoryview(piece)


async def _open(sftp: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPClientFile:
    return await sftp.open(path, "rb", block_size=PIECE)


async def _read(file: asyncssh.SFTPClientFile, size: int, offset: int) -> bytes:
    """Read a whole piece: a server may answer with less than requested."""
    pieces: list[bytes] = []
    left = size
    while left:
        data: bytes = await file.read(left, offset + size - left)
        if not data:
            break
        if len(data) > left:
            raise asyncssh.SFTPBadMessage("the server sent more than was asked for")
        pieces.append(data)
        left -= len(data)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
