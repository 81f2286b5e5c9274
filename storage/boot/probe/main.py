"""The confined process: reads the stored file through one socket, prints facts as JSON lines.

Started by `storage.boot.probing`. Once all libraries are loaded it gives up the right to open anything at all: the limit of
open files is set to what is open already, so no path in a hostile image can lead to a file of the host.
"""

import json
import resource
import socket
import sys
from collections.abc import Callable, Iterator, Mapping

from storage.boot.probe.inventory.look import inventory
from storage.boot.probe.inventory.tree import tree
from storage.boot.probe.layout import layout
from storage.boot.probe.messages import LENGTH, REQUEST
from storage.boot.probe.survey import survey
from storage.formats.blocks import Bytes, Cached
from storage.formats.guest_disk import opener_of


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


LOOKS: dict[str, Callable[[Bytes, str], Iterator[Mapping[str, object]]]] = {
    "survey": survey,
    "inventory": inventory,
    "layout": layout,
    "tree": tree,
}
"""What is looked for in a disk."""


def main(look: str, channel_fd: int, size_bytes: int, image_format: str) -> None:
    """Look at the image behind `channel_fd` and print each step's facts."""
    open_disk = opener_of(image_format)  # before the door is shut
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    source = Cached(Remote(socket.socket(fileno=channel_fd), size_bytes))
    for facts in LOOKS[look](open_disk(source), image_format):
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
