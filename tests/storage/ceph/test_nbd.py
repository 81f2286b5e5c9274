"""The talk with qemu-img: it gets what it asks for, and nothing that it says is believed."""

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from catalog.errors import ConversionFailed, ImageNotFound
from storage.ceph.conversion.qemu_disk import Objects
from storage.ceph.layout import OBJECT_BYTES
from storage.nbd.server import Given, Receive, Served, Taken

GREETING = 18
GO = struct.pack(">I8sIIIH", 3, b"IHAVEOPT", 7, 6, 0, 0)
READ, WRITE, DISCONNECT, ZEROES = 0, 1, 2, 6
MAGIC = 0x25609513
DATA = bytes(range(256)) * 16


class Bytes:
    """Something to read, and to write to."""

    def __init__(self) -> None:
        self.data, self.size_bytes = bytearray(DATA), len(DATA)

    def read_at(self, offset: int, size: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    def take(self, offset: int, length: int, receive: Receive) -> None:
        self.data[offset : offset + length] = receive(length)

    def take_zeros(self, offset: int, length: int) -> None:
        self.data[offset : offset + length] = bytes(length)


class Broken(Bytes):
    def read_at(self, offset: int, size: int) -> bytes:
        raise ImageNotFound("gone")


@contextmanager
def peer(served: Served) -> Iterator[socket.socket]:
    """Talk to it as qemu would, the handshake done."""
    with closing(socket.socket(fileno=os.dup(served.descriptor))) as end:
        end.settimeout(10)
        assert receive(end, GREETING)[:16] == b"NBDMAGICIHAVEOPT"
        end.sendall(GO)
        information = receive(end, 20 + 12)
        assert struct.unpack_from(">HQ", information, 20) == (0, len(DATA))
        assert receive(end, 20)[12:16] == struct.pack(">I", 1)
        yield end


def receive(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := end.recv(size - len(data))):
        data += more
    return data


def request(kind: int, offset: int, length: int, magic: int = MAGIC) -> bytes:
    return struct.pack(">IHHQQI", magic, 0, kind, 77, offset, length)


def test_bytes_are_read() -> None:
    served = Given(Bytes())
    with peer(served) as end:
        for offset, length in ((0, 10), (100, 2000), (len(DATA), 0)):
            end.sendall(request(READ, offset, length))
            assert receive(end, 16) == struct.pack(">IIQ", 0x67446698, 0, 77)
            assert receive(end, length) == DATA[offset : offset + length]
    assert served.end() is None


def test_bytes_are_taken() -> None:
    target = Bytes()
    served = Taken(target)
    with peer(served) as end:
        end.sendall(request(WRITE, 5, 3) + b"abc" + request(ZEROES, 1, 2))
        assert receive(end, 32) == struct.pack(">IIQ", 0x67446698, 0, 77) * 2
    assert served.end() is None
    assert target.data == DATA[:1] + bytes(2) + DATA[3:5] + b"abc" + DATA[8:]


def test_bytes_are_taken_whole_though_signals_arrive_meanwhile() -> None:
    target = Bytes()
    served = Taken(target)
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with peer(served) as end:
            end.sendall(request(WRITE, 0, 6) + b"abc")
            for _ in range(20):  # in one of the pauses it waits for the rest
                time.sleep(0.01)
                for thread in threading.enumerate():
                    if thread.name == "nbd" and thread.ident:
                        signal.pthread_kill(thread.ident, signal.SIGUSR1)
            end.sendall(b"def")
            assert receive(end, 16) == struct.pack(">IIQ", 0x67446698, 0, 77)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert served.end() is None
    assert target.data[:6] == b"abcdef"


@pytest.mark.parametrize("kind", [Given, Taken])
@pytest.mark.parametrize(
    "said",
    [
        request(READ, 1, len(DATA)),
        request(WRITE, 1, len(DATA)),
        request(ZEROES, 1 << 63, 1),
        request(READ, 0, 1, magic=1),
        request(9, 0, 1),
        request(DISCONNECT, 0, 0),
    ],
    ids=["reading past the end", "writing past the end", "zeros far away", "noise", "unknown", "farewell"],
)
def test_what_may_not_be_said_ends_the_talk(kind: type[Given | Taken], said: bytes) -> None:
    target = Bytes()
    served = kind(target)
    with peer(served) as end:
        end.sendall(said)
        assert end.recv(1) == b""
    assert served.end() is None
    assert target.data == DATA


def test_objects_are_put_together_in_order_only() -> None:
    got: list[tuple[int, bytes]] = []
    disk_bytes = 2 * OBJECT_BYTES + 512
    objects = Objects((OBJECT_BYTES, disk_bytes), disk_bytes, lambda index, data: got.append((index, data)))
    objects.take(OBJECT_BYTES - 2, 2 + 100, lambda length: b"x" * length)
    objects.take(200, 0, lambda length: b"x" * length)
    with pytest.raises(ConversionFailed, match="in order"):
        objects.take(0, 1, lambda length: b"x" * length)
    objects.finish()
    assert got == [(1, bytes(OBJECT_BYTES - 2) + b"xx"), (2, b"x" * 100 + bytes(412))]


def test_options_are_refused_one_by_one_and_noise_at_once() -> None:
    served = Given(Bytes())
    with closing(socket.socket(fileno=os.dup(served.descriptor))) as end:
        receive(end, GREETING)
        end.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 8, 0))
        assert receive(end, 20) == struct.pack(">QIII", 0x3E889045565A9, 8, 0x80000001, 0)
        end.sendall(b"x" * 16)
        assert end.recv(1) == b""
    assert served.end() is None


def test_what_goes_wrong_at_our_end_is_told_to_us() -> None:
    served = Given(Broken())
    with peer(served) as end:
        end.sendall(request(READ, 0, 1))
        assert end.recv(1) == b""
    assert isinstance(served.end(), ImageNotFound)


def test_a_program_that_never_speaks_is_left() -> None:
    served = Taken(Bytes())
    assert served.end() is None
    assert served.end() is None
