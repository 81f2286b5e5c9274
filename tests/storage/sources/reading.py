"""Read sources in tests."""

from storage.protocols import Source, SourceStream


def read(stream: SourceStream, step: int = 1 << 20) -> bytes:
    buffer, found = memoryview(bytearray(step)), bytearray()
    while size := stream.readinto(buffer):
        found += buffer[:size]
    return bytes(found)


def fetch(source: Source) -> bytes:
    with source.open(0, source.probe()) as stream:
        return read(stream)
