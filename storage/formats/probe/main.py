"""The confined process: reads the stored file through one socket, prints facts as JSON lines.

Started by `storage.formats.boot`. Once all libraries are loaded it gives up the right to open anything at all: the limit of
open files is set to what is open already, so no path in a hostile image can lead to a file of the host.
"""

import json
import resource
import socket
import sys

from storage.formats.disk import Cached, open_disk
from storage.formats.probe.survey import survey
from storage.formats.probe.wire import LENGTH, REQUEST
from storage.formats.qcow2_disk import Qcow2Disk
from storage.formats.vmdk_disk import VmdkDisk

LOADED = (Qcow2Disk, VmdkDisk)  # imported above so that nothing is left to open


class Remote:
    """The stored file, read through the process that started us."""

    def __init__(self, channel: socket.socket, size_bytes: int) -> None:
        self._channel, self.size_bytes = channel, size_bytes

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        self._channel.sendall(REQUEST.pack(offset, size))
        return self._receive(LENGTH.unpack(self._receive(LENGTH.size))[0])

    def _receive(self, size: int) -> bytes:
        data = bytearray(size)
        view, at = memoryview(data), 0
        while at < size:
            count = self._channel.recv_into(view[at:])
            if not count:
                raise EOFError("the process that reads the image went away")
            at += count
        return bytes(data)


def main(channel_fd: int, size_bytes: int, image_format: str) -> None:
    """Survey the image behind `channel_fd` and print each step's facts."""
    if image_format == "qcow2":
        import backports.zstd  # noqa: F401  a zstd image would need it after the door is shut
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    source = Cached(Remote(socket.socket(fileno=channel_fd), size_bytes))
    for facts in survey(open_disk(source, image_format), image_format):
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
