"""Read an exported file from its image storage for a download."""

from typing import Self

from catalog.errors import DigestMismatch
from catalog.records import ExportedImage
from storage.abilities import KeepsExports


class KeptReader:
    """Reads the file while it looks as it did when it was proven; otherwise the answer breaks off."""

    def __init__(self, export: ExportedImage, keeper: KeepsExports) -> None:
        self._export, self._keeper = export, keeper

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Do nothing: the reader holds no resources."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Read a block, then check the file's look: a block of a replaced file is not sent."""
        end = min(offset + size, self._export.size_bytes)
        block = self._keeper.read_export(self._export.path, offset, end)
        if len(block) != end - offset or self._keeper.export_look(self._export.path) != self._export.proven:
            raise DigestMismatch(self._export.path, f"sha256:{self._export.sha256}", "a file that is changing")
        return block
