"""What would boot, read from the bytes of a stored file.

C libraries parse the guest's file systems, so this happens in a confined process of its own that reads the file through a
socket and can open nothing. If it dies, hangs or talks nonsense, the facts found until then stand and the rest is unknown.
"""

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from catalog.records import BootFacts
from storage.formats.confine import Limits, confined, running
from storage.formats.probe.wire import LENGTH, REQUEST
from storage.protocols import ImageReader

MAX_READ = 1 << 20
MAX_TOTAL = 256 << 20
"""Bytes that one survey may read of the file; a Debian disk takes 4 MB."""
MAX_ANSWER = 64 << 10
_MEMORY = 1 << 30
_ROOT = str(Path(__file__).parents[2])
_PROGRAM = "import sys; sys.path.insert(0, {root!r}); from storage.formats.probe.main import main; main({fd}, {size}, {format!r})"


def boot_facts(reader: ImageReader, image_format: str, timeout_s: float = 10) -> BootFacts:
    """Say what would boot from a stored file of a format that the inspector has passed.

    Odd content is never an error: what can't be told stays unknown. Raises only the reader's own errors.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd = theirs.fileno()
        program = _PROGRAM.format(root=_ROOT, fd=fd, size=reader.size_bytes, format=image_format)
        limits = Limits(wall_s=timeout_s, cpu_s=int(timeout_s) + 1, memory_bytes=_MEMORY)
        command = [*confined(sys.executable, limits), "-I", "-B", "-c", program]
        with running(command, pass_fds=(fd,), errors=subprocess.DEVNULL) as process:
            theirs.close()
            ours.settimeout(timeout_s)
            answer = _Serving(reader, ours, process).until(time.monotonic() + timeout_s)
    return _facts(answer)


class _Serving:
    """Answers the reads of one survey, within bounds, and collects what it prints."""

    def __init__(
        self, reader: ImageReader, channel: socket.socket, process: "subprocess.Popen[bytes]"
    ) -> None:
        self._reader, self._channel, self._process = reader, channel, process
        self._asked, self._answer, self._served, self._closed = bytearray(), bytearray(), 0, False

    def until(self, end: float) -> bytes:
        """Serve until the survey ends, `end` (monotonic seconds) comes or a bound is passed; return what it printed."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ, self._serve)
            if self._process.stdout is not None:
                selector.register(self._process.stdout, selectors.EVENT_READ, self._collect)
            while ready := selector.select(max(end - time.monotonic(), 0)):
                if not all(key.data() for key, _ in ready):
                    break
                if self._closed and self._channel in selector.get_map():
                    selector.unregister(self._channel)
        return bytes(self._answer)

    def _collect(self) -> bool:
        pipe = self._process.stdout
        data = os.read(pipe.fileno(), MAX_ANSWER) if pipe is not None else b""
        self._answer += data
        return bool(data) and len(self._answer) <= MAX_ANSWER

    def _serve(self) -> bool:
        self._asked += self._receive()
        if len(self._asked) == REQUEST.size:
            offset, size = REQUEST.unpack(self._asked)
            self._asked.clear()
            self._served += size
            if size > MAX_READ or self._served > MAX_TOTAL:
                self._hang_up()
            else:
                found = self._reader.read_at(offset, size) if offset < self._reader.size_bytes else b""
                self._send(LENGTH.pack(len(found)) + found)
        return True

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
        """Serve no more: the survey ends with an error of its own, and what it printed stands."""
        self._closed = True
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)


def _facts(answer: bytes) -> BootFacts:
    known: dict[str, object] = {}
    for line in answer.splitlines():
        try:
            known = BootFacts.model_validate({**known, **json.loads(line)}).model_dump()
        except (ValueError, TypeError, ValidationError):
            break  # the process was killed in the middle of a line
    return BootFacts.model_validate(known)
