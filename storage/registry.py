"""Which class keeps the images of a storage record: one row per kind and URL scheme."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from catalog.errors import InvalidRequest, StorageUnavailable
from catalog.records import ImageStorage
from catalog.settings import Settings
from storage import protocols

Opener = Callable[[ImageStorage, Settings, str | None], protocols.ImageStorage]


def open_image_storage(
    record: ImageStorage, *, settings: Settings, credentials: str | None = None
) -> protocols.ImageStorage:
    """Open the image storage of a record. credentials: the secret itself, e.g. "key:secret"; never kept in records.

    Raises InvalidRequest for a kind and URL that don't fit, StorageUnavailable, StorageRefused.
    """
    scheme = urlsplit(record.url).scheme
    opener = OPENERS.get((record.kind, scheme))
    if opener is None:
        allowed = " or ".join(sorted(f"{s}:// for {kind}" for kind, s in OPENERS))
        raise InvalidRequest("url", record.url, f"a {record.kind} storage needs {allowed}")
    return opener(record, settings, credentials)


def require_present(record: ImageStorage) -> None:
    """Raise StorageUnavailable if a directory that holds images is not there: opening it would make an empty one.

    For work on replicas that the catalog knows of; a disk that is not mounted must not look like one without images.
    """
    from storage.chips.parameters import NAME

    parts = urlsplit(record.url)
    if record.kind == "imagestore" and parts.scheme == "file":
        folder = Path(unquote(parts.path))
        if not (folder / NAME).is_file():
            raise StorageUnavailable(record.name, f"{folder} holds no image store now; is its disk mounted?")


def _open_directory(
    record: ImageStorage, _settings: Settings, _credentials: str | None
) -> protocols.ImageStorage:
    from storage.chips.directory import DirectoryObjects
    from storage.imagestore import ImageStore

    objects = DirectoryObjects(Path(unquote(urlsplit(record.url).path)))
    objects.prepare()
    return ImageStore(record, objects)


def _open_ceph(record: ImageStorage, settings: Settings, credentials: str | None) -> protocols.ImageStorage:
    from storage.ceph import CephStorage

    return CephStorage(record, settings, credentials)


OPENERS: dict[tuple[str, str], Opener] = {
    ("imagestore", "file"): _open_directory,
    ("ceph", "rbd"): _open_ceph,
}
