"""A connection to an S3 endpoint: one s3fs instance, translated errors, brief failures retried with jitter."""

import errno
import socket
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

from catalog.errors import InvalidRequest, ObjectMissing, StorageError, StorageRefused, StorageUnavailable
from catalog.records import Record
from storage.imagestore.objects.retrying import retried

T = TypeVar("T")
CONNECTIONS = 16
ENDPOINTS = 8
LASTING = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTSUP)


class S3Address(Record):
    """The location of a store in S3, and its credentials. prefix ends with a slash or is empty."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    key: str | None = None
    secret: str | None = None
    region: str = "us-east-1"
    source_address: str | None = None  # local address that connections are bound to
    connect_timeout_s: float = 15
    read_timeout_s: float = 60

    @property
    def location(self) -> str:
        """Return the location, without secrets."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse_address(url: str, endpoint: str | None, credentials: str | None) -> S3Address:
    """Return the address of `s3://bucket/prefix`. credentials: "key:secret", or None for none. Raises InvalidRequest."""
    parts = urlsplit(url)
    if not parts.netloc or parts.query or "@" in parts.netloc:
        raise InvalidRequest("url", url, "write s3://bucket or s3://bucket/prefix")
    key, colon, secret = (credentials or "").partition(":")
    if credentials and not (key and colon and secret):
        raise InvalidRequest("credentials", "…", "write the secret of S3 as KEY:SECRET")
    prefix = parts.path.strip("/")
    return S3Address(
        bucket=parts.netloc,
        prefix=f"{prefix}/" if prefix else "",
        endpoint=endpoint,
        key=key or None,
        secret=secret or None,
    )


class S3Connection:
    """Runs calls of s3fs; opened at first use, one per address, shared by all threads of the process."""

    def __init__(self, address: S3Address) -> None:
        self.address = address
        self._fs: Any = None
        self._lock = Lock()

    def run(self, what: str, call: Callable[[Any], T]) -> T:
        """Call with the file system; retry failures that may pass, and raise the last one as our error."""
        return retried(lambda: call(self._file_system()), lambda error: self._translated(error, what))

    def _file_system(self) -> Any:  # s3fs has no types
        with self._lock:
            if self._fs is None:
                self._fs = _connect(self.address.model_copy(update={"bucket": "", "prefix": ""}))
            return self._fs

    def _translated(self, error: Exception, what: str) -> StorageError:
        """Return our error for one of s3fs or of the network below it."""
        place = f"{self.address.location}/{what}"
        if isinstance(error, FileNotFoundError):
            return ObjectMissing(place)
        if isinstance(error, PermissionError) or getattr(error, "errno", None) in LASTING:
            return StorageRefused(self.address.location, f"{error} ({what})")
        return StorageUnavailable(self.address.location, f"{str(error) or 'no answer came'} ({what})")


def is_conflict(error: OSError) -> bool:
    """Tell whether a conditional put met an object: s3fs raises EINVAL for the servers' 412, some raise EEXIST."""
    return isinstance(error, FileExistsError) or error.errno == errno.EINVAL


@lru_cache(maxsize=1)
def session() -> Any:  # aiobotocore has no types
    """Return the session of all connections: its descriptions of S3 take 0.1 s to load, and 12 MB."""
    from aiobotocore.session import AioSession

    return AioSession()


@lru_cache(maxsize=ENDPOINTS)  # a run opens its storage in each task
def _connect(address: S3Address) -> Any:
    """Return the file system of an endpoint, for any bucket."""
    from s3fs import S3FileSystem

    connector: dict[str, object] = {}
    if address.source_address:
        connector["socket_factory"] = _bound_to(address.source_address)
    file_system = S3FileSystem(
        anon=address.key is None,
        key=address.key,
        secret=address.secret,
        endpoint_url=address.endpoint,
        client_kwargs={"region_name": address.region},
        config_kwargs={
            "retries": {"max_attempts": 0},  # retried here: only here can a lost answer be told from a conflict
            # Bodies are then signed with their SHA-256, which the server checks: CRC-32 besides took 0.1 s per 100 MB.
            "request_checksum_calculation": "when_required",
            "max_pool_connections": CONNECTIONS,
            "connect_timeout": address.connect_timeout_s,
            "read_timeout": address.read_timeout_s,
            "s3": {"addressing_style": "path"} if address.endpoint else {},
            "connector_args": connector,
        },
        use_listings_cache=False,
        skip_instance_cache=True,
        session=session(),
    )
    file_system.retries = 1
    return file_system


def _bound_to(source_address: str) -> Callable[[tuple[Any, ...]], socket.socket]:
    def make(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, _ = info
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        made.bind((source_address, 0))
        return made

    return make
