"""Digests of a byte stream, each algorithm in its own thread."""

from collections.abc import Sequence

from storage.hashes import new_hash
from storage.protocols import Digests
from storage.transfer.threads import Lane

ALWAYS = ("md5", "sha256")


class Digester:
    """Feed blocks in order, then take the result once. extra: further algorithms, as `new_hash` names them."""

    def __init__(self, extra: Sequence[str] = ()) -> None:
        names = dict.fromkeys((*ALWAYS, *extra))
        self._hashes = {name: new_hash(name) for name in names}
        self._lanes = [Lane(hash_.update, f"digest-{name}") for name, hash_ in self._hashes.items()]
        self.size_bytes = 0

    def feed(self, block: memoryview) -> None:
        """Take the next bytes; returns at once unless hashing is far behind. The block must not change afterwards."""
        for lane in self._lanes:
            lane.put(block)
        self.size_bytes += len(block)

    def result(self) -> Digests:
        """Return size and digests of all bytes fed."""
        self.close()
        return Digests(
            size_bytes=self.size_bytes, md5=self._hashes["md5"].hexdigest(), sha256=self._hashes["sha256"].hexdigest()
        )

    def hexdigest(self, algorithm: str) -> str:
        """Return one digest, of MD5, SHA-256 or an extra one, after everything was fed."""
        self.close()
        return self._hashes[algorithm].hexdigest()

    def close(self) -> None:
        """Stop the threads. Safe to repeat."""
        for lane in self._lanes:
            lane.join()
