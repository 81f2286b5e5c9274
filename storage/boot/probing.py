"""The confined process that looks into a stored file: it reads it through a socket and can open nothing.

C libraries parse the guest's file systems there. If it dies, hangs or talks nonsense, what it said until then stands.
"""

import os
import selectors
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.boot.probe.messages import LENGTH, REQUEST
from storage.programs.confine import Limits, confined, running
from storage.protocols import ImageReader

MAX_READ = 1 << 20
_MEMORY = 1 << 30
_ROOT = str(Path(__file__).parents[2])
_PROGRAM = (
    "import sys; sys.path.insert(0, {root!r}); from storage.boot.probe.main import main; "
    "main({look!r}, {fd}, {size}, {format!r})"
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one look may take. most_read: bytes of the file; most_said: bytes that it prints."""

    timeout_s: float = 10
    most_read: int = 256 << 20
    most_said: int = 64 << 10
    memory_bytes: int = _MEMORY


def looked(look: str, reader: ImageReader, image_format: str, bounds: Bounds) -> bytes:
    """Return the lines that a look printed, whole or as far as it came. look: of `storage.boot.probe.main.LOOKS`.

    Raises only the reader's own errors, and MissingProgram.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd, seconds = theirs.fileno(), bounds.timeout_s
        program = _PROGRAM.format(root=_ROOT, look=look, fd=fd, size=reader.size_bytes, format=image_format)
        limits = Limits(wall_s=seconds, cpu_s=int(seconds) + 1, memory_bytes=bounds.memory_bytes)
        command = [*confined(sys.executable, limits), "-I", "-B", "-c", program]
        with running(command, pass_fds=(fd,), errors=subprocess.DEVNULL) as process:
            theirs.close()
            ours.settimeout(seconds)
            return _Serving(reader, ours, process, bounds, time.monotonic() + seconds).said()


class _Serving:
    """Answers the reads of one look, within bounds and until `end` (monotonic seconds), and collects what it prints."""

    def __init__(
        self,
        reader: ImageReader,
        channel: socket.socket,
        process: "subprocess.Popen[bytes]",
        bounds: Bounds,
        end: float,
    ) -> None:
        self._reader, self._channel, self._process, self._bounds, self._end = reader, channel, process, bounds, end
        self._asked, self._answer, self._served, self._closed = bytearray(), bytearray(), 0, False

    def said(self) -> bytes:
        """Serve until the look ends, its time is over or a bound is passed; return what it printed."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ, self._serve)
            if self._process.stdout is not None:
                selector.register(self._process.stdout, selectors.EVENT_READ, self._collect)
            # Nothing is asked after the end: what waits then is only what was printed before it.
            while ready := selector.select(max(self._end - time.monotonic(), 0)):
                if not all(key.data() for key, _ in ready):
                    break
                if self._closed and self._channel in selector.get_map():
                    selector.unregister(self._channel)
        return bytes(self._answer)

    def _collect(self) -> bool:
        pipe = self._process.stdout
        data = os.read(pipe.fileno(), self._bounds.most_said) if pipe is not None else b""
        self._answer += data
        return bool(data) and len(self._answer) <= self._bounds.most_said

    def _serve(self) -> bool:
        self._asked += self._receive()
        if len(self._asked) == REQUEST.size:
            offset, size = REQUEST.unpack(self._asked)
            self._asked.clear()
            self._served += size
            if size > MAX_READ or self._served > self._bounds.most_read:
                self._hang_up()
            else:
                self._answer_read(offset, size)
        return True

    def _answer_read(self, offset: int, size: int) -> None:
        """Read and answer, unless the time is over by then: the storage may have taken all of it."""
        found = self._reader.read_at(offset, size) if offset < self._reader.size_bytes else b""
        if time.monotonic() > self._end:
            self._hang_up()
        else:
            self._send(LENGTH.pack(len(found)) + found)

    def _receive(self) -> bytes:
        try:
            data = self._channel.recv(REQUEST.size - len(self._asked))
        except OSError:  # it was killed at a limit
            data = b""
        if not data:
            self._hang_up()
        return data

    def _send(self, data: bytes) -> None:
        try:
            self._channel.sendall(data)
        except OSError:  # it was killed at a limit, or does not listen any more
            self._hang_up()

    def _hang_up(self) -> None:
        """Serve no more: the look ends with an error of its own, and what it printed stands."""
        self._closed = True
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
