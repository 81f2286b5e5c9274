"""An SFTP server whose answers are wrong: about the size of its file, or never given."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import asyncssh

CONTENT = b"image" * 100_000
PASSWORD = "s3cr3t"


@dataclass
class FaultySftp:
    """What the server says and does, and where it is.

    announced: size that is told; silent_from: offset never answered; more: bytes sent beyond what was asked for; refusal:
    said instead of sending anything.
    """

    port: int = 0
    announced: int = len(CONTENT)
    silent_from: int = len(CONTENT) + 1
    more: int = 0
    refusal: str = ""
    key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"sftp://user:{PASSWORD}@127.0.0.1:{self.port}/disk.raw"


class _Server(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("user", PASSWORD)


def _sftp(faults: FaultySftp) -> type[asyncssh.SFTPServer]:
    class Lying(asyncssh.SFTPServer):
        def open(self, _path: bytes, _pflags: int, _attrs: asyncssh.SFTPAttrs) -> object:
            return object()

        def stat(self, _path: bytes) -> asyncssh.SFTPAttrs:
            return asyncssh.SFTPAttrs(size=faults.announced, permissions=0o100644, atime=1, mtime=1)

        def fstat(self, _file: object) -> asyncssh.SFTPAttrs:
            return self.stat(b"")

        async def read(self, _file: object, offset: int, size: int) -> bytes:
            if offset >= faults.silent_from:
                await asyncio.Event().wait()
            if faults.refusal:
                raise asyncssh.SFTPFailure(faults.refusal)
            return CONTENT[offset : offset + size + faults.more]

        def close(self, _file: object) -> None:
            return None

    return Lying


@contextmanager
def faulty_sftp() -> Iterator[FaultySftp]:
    """Run the server in a thread of its own."""
    faults, loop, ready, ended = FaultySftp(), asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        listening = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=_Server, server_host_keys=[faults.key], sftp_factory=_sftp(faults)
        )
        faults.port = listening.get_port()
        ready.set()
        async with listening:
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield faults
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
