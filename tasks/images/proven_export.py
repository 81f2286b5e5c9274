"""Hand out only export files that match their record: a file changed since no longer counts as an export."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import DigestMismatch, ImageNotFound
from catalog.log import events
from catalog.records import ExportedImage, ImageFormat, Replica
from catalog.settings import Settings, load_settings
from storage.protocols import Digests
from storage.replicas.proven_files import looks, prove_file, size_of
from tasks.images.kept_exports import is_kept, is_there
from tasks.runtime.resources import changing

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.reading.reading import Reading


def matching_exports(
    catalog: "Reading", settings: Settings, replicas: Sequence[Replica], image_format: ImageFormat | None
) -> Iterator[ExportedImage]:
    """Yield the exports of an image's replicas whose file is here in its recorded size.

    image_format: None for the format that each replica is stored in.
    """
    wanted = {(r.image_storage, image_format or r.format) for r in replicas}
    for export in catalog.exports(replicas[0].image_id):
        if (export.image_storage, export.format) in wanted and is_there(catalog, settings, export):
            yield export


def proven_export(catalog: "Catalog", export: ExportedImage) -> ExportedImage | None:
    """Return the export if its file matches the record, None if the file is gone or differs.

    The file is read only if its look differs from when it was proven: it was copied back or touched, or exported before
    looks were recorded.
    """
    if is_kept(export.path):
        return export if is_there(catalog, load_settings(), export) else None
    path = Path(export.path)
    if looks(path, export.proven):
        return export
    expected = Digests(size_bytes=export.size_bytes, md5=export.md5, sha256=export.sha256)
    try:
        if size_of(path) != export.size_bytes:
            return None
        known = export.model_copy(update={"proven": prove_file(path, expected)})
        with changing(catalog, "system") as change:
            change.exported(export.id)
            change.save_export(known, events.IMAGE_EXPORT_PROVEN)
    except (OSError, DigestMismatch, ImageNotFound):
        return None
    return known
