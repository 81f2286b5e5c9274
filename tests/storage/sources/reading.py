"""Read sources in tests."""

from catalog.errors import TransferInterrupted
from storage.protocols import Source, SourceStream


def read(stream: SourceStream, step: int = 1 << 20) -> bytes:
    buffer, found = memoryview(bytearray(step)), bytearray()
    while size := stream.readinto(buffer):
        found += buffer[:size]
    return bytes(found)


def fetch(source: Source) -> bytes:
    with source.open(0, source.probe()) as stream:
        return read(stream)


def read_until_broken(stream: SourceStream) -> tuple[bytes, TransferInterrupted]:
    kept, buffer = bytearray(), memoryview(bytearray(64 << 10))
    try:
        while size := stream.readinto(buffer):
            kept += buffer[:size]
    except TransferInterrupted as error:
        return bytes(kept), error
    raise AssertionError("the stream ended as if nothing had happened")
