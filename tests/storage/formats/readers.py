"""Ways to look at bytes that the tests of formats share."""

from collections.abc import Iterator

from catalog.records import Verdict
from storage.formats.inspector import Inspector

LIMIT = 1 << 44


class Memory:
    """Bytes in memory as an `ImageReader`; counts what is read."""

    def __init__(self, content: bytes) -> None:
        self.content, self.size_bytes, self.bytes_read = content, len(content), 0

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        self.bytes_read += size
        return self.content[offset : offset + size]

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Yield one extent of data."""
        if self.content:
            yield 0, self.size_bytes, False


def judged(content: bytes, block: int, limit: int = LIMIT) -> Verdict:
    """Return the verdict on bytes fed in blocks of one size."""
    inspector = Inspector(limit)
    view = memoryview(content)
    for start in range(0, len(content), block):
        inspector.feed(view[start : start + block])
    return inspector.finish()


def errors(verdict: Verdict) -> list[str]:
    """Return the ids of the rules that refuse."""
    return [f.rule for f in verdict.findings if f.severity == "error"]
