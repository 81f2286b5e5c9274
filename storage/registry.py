"""Which class keeps the images of a storage record: one row per kind and URL scheme."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from catalog.errors import InvalidRequest, StorageUnavailable
from catalog.records import ImageStorage
from catalog.settings import Settings
from storage import protocols

INDEX_CACHE_BYTES = 1 << 30  # of local disk, for the indexes of remote stores: 17 million chips


@dataclass(frozen=True, slots=True)
class Access:
    """With what a storage is opened."""

    settings: Settings
    credentials: str | None
    source_address: str | None


Opener = Callable[[ImageStorage, Access], protocols.ImageStorage]


def open_image_storage(
    record: ImageStorage,
    *,
    settings: Settings,
    credentials: str | None = None,
    source_address: str | None = None,
) -> protocols.ImageStorage:
    """Open the image storage of a record.

    credentials: the secret itself, e.g. "key:secret"; never kept in records.
    source_address: local address that connections are bound to, e.g. of the sync network.

    Raises InvalidRequest for a kind and URL that don't fit, StorageUnavailable, StorageRefused.
    """
    scheme = urlsplit(record.url).scheme
    opener = OPENERS.get((record.kind, scheme))
    if opener is None:
        allowed = " or ".join(sorted(f"{s}:// for {kind}" for kind, s in OPENERS))
        raise InvalidRequest("url", record.url, f"a {record.kind} storage needs {allowed}")
    return opener(record, Access(settings, credentials, source_address))


def place_of(record: ImageStorage) -> tuple[str, ...]:
    """Return where the bytes of a storage are, so that two records of one place are told by equal values.

    A directory is told by its device and inode: links and other spellings lead to the same one.
    """
    parts = urlsplit(record.url)
    path = unquote(parts.path)
    if parts.scheme != "file":
        return parts.scheme, record.endpoint or "", parts.netloc, path.strip("/"), parts.query
    try:
        found = Path(path).stat()
    except OSError:
        return parts.scheme, str(Path(path).resolve())
    return parts.scheme, str(found.st_dev), str(found.st_ino)


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


def _open_directory(record: ImageStorage, _access: Access) -> protocols.ImageStorage:
    from storage.chips.directory import DirectoryObjects
    from storage.imagestore import ImageStore

    objects = DirectoryObjects(Path(unquote(urlsplit(record.url).path)))
    objects.prepare()
    return ImageStore(record, objects)


def _open_s3(record: ImageStorage, access: Access) -> protocols.ImageStorage:
    from storage.chips.cached import CachedObjects
    from storage.chips.index import PREFIX
    from storage.chips.s3 import S3Objects
    from storage.chips.s3_connection import S3Connection, parse_address
    from storage.imagestore import ImageStore

    address = parse_address(record.url, record.endpoint, access.credentials).model_copy(
        update={
            "source_address": access.source_address,
            "connect_timeout_s": access.settings.connect_timeout_s,
            "read_timeout_s": access.settings.read_timeout_s,
        }
    )
    cache = access.settings.scratch_folder / "index-cache"
    objects = CachedObjects(S3Objects(S3Connection(address)), cache, INDEX_CACHE_BYTES, (PREFIX,))
    return ImageStore(record, objects)


def _open_ceph(record: ImageStorage, access: Access) -> protocols.ImageStorage:
    from storage.ceph import CephStorage

    return CephStorage(record, access.settings, access.credentials)


OPENERS: dict[tuple[str, str], Opener] = {
    ("imagestore", "file"): _open_directory,
    ("imagestore", "s3"): _open_s3,
    ("ceph", "rbd"): _open_ceph,
}
