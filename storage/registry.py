"""Which class keeps the images of a storage record: one row per kind and URL scheme."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from catalog.errors import InvalidRequest
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
