"""The classes of image storages: one row per kind and URL scheme."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from catalog.errors import InvalidRequest, StorageUnavailable
from catalog.records import ImageStorage
from catalog.rules.storages.hosts import bound_to, require_here
from catalog.settings import Settings
from storage import protocols

if TYPE_CHECKING:
    from storage.imagestore.objects.s3 import S3Objects

INDEX_CACHE_BYTES = 1 << 30  # of local disk, for the indexes of remote stores: 17 million chips


@dataclass(frozen=True, slots=True)
class Access:
    """The parameters with which a storage is opened."""

    settings: Settings
    credentials: str | None
    source_address: str | None


Opener = Callable[[ImageStorage, Access], protocols.ImageStorage]


def open_image_storage(
    record: ImageStorage, *, settings: Settings, credentials: str | None = None, source_address: str | None = None
) -> protocols.ImageStorage:
    """Open the image storage of a record.

    credentials: the secret itself, e.g. "key:secret"; never kept in records.
    source_address: local address that connections are bound to, e.g. of the sync network.

    Raises InvalidRequest for a kind and URL that don't fit, StorageElsewhere for another host's directory,
    StorageUnavailable, StorageRefused.
    """
    require_here(record, settings.host_name)
    scheme = urlsplit(record.url).scheme
    opener = OPENERS.get((record.kind, scheme))
    if opener is None:
        allowed = " or ".join(sorted(f"{s}:// for {kind}" for kind, s in OPENERS))
        raise InvalidRequest("url", record.url, f"a {record.kind} storage needs {allowed}")
    return opener(record, Access(settings, credentials, source_address))


def place_of(record: ImageStorage, here: str) -> tuple[str, ...]:
    """Return the place of a storage's bytes, so that two records of one place have equal values.

    here: this host's name.

    A directory is identified by its device and inode: links and other spellings lead to the same one.
    """
    parts = urlsplit(record.url)
    path = unquote(parts.path)
    if parts.scheme != "file":
        return parts.scheme, record.endpoint or "", parts.netloc, path.strip("/"), parts.query
    if (host := bound_to(record)) not in (None, here):
        return parts.scheme, str(host), path.rstrip("/")  # the same path on this host is another disk
    try:
        found = Path(path).stat()
    except OSError:
        return parts.scheme, str(Path(path).resolve())
    return parts.scheme, str(found.st_dev), str(found.st_ino)


def require_present(record: ImageStorage, here: str) -> None:
    """Raise StorageUnavailable if a directory that holds images is absent: opening it would create an empty one.

    For work on replicas that the catalog knows of. An unmounted disk must not look like one without images, nor must
    another host's, whatever lies at its path here. here: this host's name. Raises StorageElsewhere.
    """
    from storage.imagestore.format.parameters import COPY, NAME, OURS

    require_here(record, here)
    parts = urlsplit(record.url)
    if record.kind == "imagestore" and parts.scheme == "file":
        folder = Path(unquote(parts.path))
        if not any((folder / name).exists() for name in (NAME, COPY, *OURS)):
            raise StorageUnavailable(record.name, f"{folder} holds no image store now: see whether its disk is mounted")


def open_objects(record: ImageStorage, *, settings: Settings, credentials: str | None = None) -> protocols.ObjectStore:
    """Open the object store of an ImageStore of ours, for another site that keeps images in it.

    Raises InvalidRequest for a storage that is no ImageStore of ours, and as `open_image_storage`.
    """
    require_here(record, settings.host_name)
    access = Access(settings, credentials, None)
    if (record.kind, scheme := urlsplit(record.url).scheme) == ("imagestore", "file"):
        return _directory(record)
    if (record.kind, scheme) == ("imagestore", "s3"):
        return _bucket(record, access)
    raise InvalidRequest("storage", record.name, "an ImageStore in a directory or a bucket of this site")


def is_bucket(record: ImageStorage) -> bool:
    """Tell whether a storage is an ImageStore of ours in a bucket."""
    return (record.kind, urlsplit(record.url).scheme) == ("imagestore", "s3")


def open_bucket(record: ImageStorage, *, settings: Settings, credentials: str | None = None) -> "S3Objects":
    """Open the bucket of an ImageStore of ours, for objects other than images in it.

    Raises InvalidRequest for another storage.
    """
    if not is_bucket(record):
        raise InvalidRequest("storage", record.name, "an ImageStore in a bucket")
    return _bucket(record, Access(settings, credentials, None))


def _open_directory(record: ImageStorage, _access: Access) -> protocols.ImageStorage:
    from storage.imagestore.storage import ImageStore

    return ImageStore(record, _directory(record))


def _directory(record: ImageStorage) -> protocols.ObjectStore:
    from storage.imagestore.objects.directory import DirectoryObjects

    objects = DirectoryObjects(Path(unquote(urlsplit(record.url).path)))
    objects.prepare()
    return objects


def _open_s3(record: ImageStorage, access: Access) -> protocols.ImageStorage:
    from storage.imagestore.with_exports import ExportingStore

    bucket = _bucket(record, access)
    return ExportingStore(record, _cached(bucket, access), bucket)


def _bucket(record: ImageStorage, access: Access) -> "S3Objects":
    from storage.imagestore.objects.s3 import S3Objects
    from storage.imagestore.objects.s3_connection import S3Connection, parse_address

    address = parse_address(record.url, record.endpoint, access.credentials).model_copy(
        update={
            "source_address": access.source_address,
            "connect_timeout_s": access.settings.connect_timeout_s,
            "read_timeout_s": access.settings.read_timeout_s,
        }
    )
    return S3Objects(S3Connection(address))


def _cached(objects: protocols.ObjectStore, access: Access) -> protocols.ObjectStore:
    """Cache the index of a remote store on this host's disk."""
    from storage.imagestore.format.index import PREFIX
    from storage.imagestore.objects.cached import CachedObjects

    return CachedObjects(objects, access.settings.scratch_folder / "index-cache", INDEX_CACHE_BYTES, (PREFIX,))


def _open_ceph(record: ImageStorage, access: Access) -> protocols.ImageStorage:
    from storage.ceph import CephStorage

    return CephStorage(record, access.settings, access.credentials)


def _open_site(record: ImageStorage, access: Access) -> protocols.ImageStorage:
    from storage.imagestore.storage import ImageStore

    return ImageStore(record, _cached(_site(record, access), access))


def _site(record: ImageStorage, access: Access) -> protocols.ObjectStore:
    from storage.imagestore.objects.site import SiteObjects
    from storage.imagestore.objects.site_connection import parse_site

    ca_file = access.settings.ca_file
    reached_by = {
        "ca_file": None if ca_file is None else str(ca_file),
        "source_address": access.source_address,
        "connect_timeout_s": access.settings.connect_timeout_s,
        "read_timeout_s": access.settings.read_timeout_s,
    }
    return SiteObjects(parse_site(record.url, access.credentials).model_copy(update=reached_by))


OPENERS: dict[tuple[str, str], Opener] = {
    ("imagestore", "file"): _open_directory,
    ("imagestore", "https"): _open_site,
    ("imagestore", "s3"): _open_s3,
    ("ceph", "rbd"): _open_ceph,
}
