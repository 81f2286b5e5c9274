"""What is noted in rings, by tests and by the processes that they let die."""

from storage.protocols import SourceInfo
from storage.transfer.transfer import NOTE_BYTES
from tests.services.payload import payload, random_bytes

RING = 4 * NOTE_BYTES
INFO = SourceInfo(url="http://x/y", size_bytes=16 << 20, etag='"1"', resumable=True)


@payload
def content() -> bytes:
    return random_bytes(16 << 20)
