"""An ImageStore in a bucket that also keeps its images' exports: `exports/<image>/<file>` beside the chips."""

from collections.abc import Iterator
from pathlib import Path

from catalog.records import ImageStorage
from storage.abilities import KeptExport
from storage.imagestore.objects.s3 import S3Objects
from storage.imagestore.storage import ImageStore
from storage.protocols import ObjectStore

FOLDER = "exports/"


class ExportingStore(ImageStore):
    """An ImageStore with KeepsExports. bucket: the objects themselves, not through the index cache."""

    def __init__(self, record: ImageStorage, objects: ObjectStore, bucket: S3Objects) -> None:
        super().__init__(record, objects)
        self._bucket, self._at = bucket, f"{record.url.rstrip('/')}/"

    def keep_export(self, image_id: str, file: Path) -> KeptExport:
        """Upload a proven file, in parts if it is large; it appears whole or not at all."""
        name = f"{FOLDER}{image_id}/{file.name}"
        self._bucket.put_file(name, file)
        return KeptExport(location=f"{self._at}{name}", look=self._bucket.look(name) or "")

    def export_look(self, location: str) -> str | None:
        """Return the current look of a kept file, None if there is none."""
        return self._bucket.look(self._name(location))

    def read_export(self, location: str, start: int, end: int) -> bytes:
        """Return bytes `[start, end)` of a kept file. Raises ObjectMissing."""
        return self._bucket.get(self._name(location), start, end)

    def delete_export(self, location: str) -> None:
        """Delete a kept file; a no-op if there is none."""
        self._bucket.delete(self._name(location))

    def kept_exports(self, image_id: str) -> Iterator[str]:
        """Yield the locations of an image's kept files."""
        for found in self._bucket.list(f"{FOLDER}{image_id}/"):
            yield f"{self._at}{found.name}"

    def _name(self, location: str) -> str:
        return location.removeprefix(self._at)
