"""Connections to a pool with bounded waits, and the single place where Ceph errors are translated into ours."""

import errno
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.errors import CapacityExceeded, ImageBusy, ImagewrightError, StorageRefused, StorageUnavailable
from storage.ceph.client.address import CephAddress, key_of
from storage.ceph.client.bindings import Cluster, Pool, RbdImage, load
from storage.ceph.layout import OBJECT_BYTES

CONNECT_S = 4  # connecting succeeds or fails within 5 s, however long the other timeouts are

UNREACHABLE = {errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EINTR}
FULL = {errno.ENOSPC, errno.EDQUOT}
REFUSED = {errno.EACCES, errno.EPERM}
FENCED = {errno.ESHUTDOWN}  # what a blocklisted client gets; librbd answers EROFS once its lock is lost
LOCK_LOST = {errno.EROFS}


class Connection:
    """An open pool of one cluster, and the images opened through it.

    An image must be closed before its pool, and the pool before the cluster. Python's garbage collector guarantees no
    order, and the bindings crash the process if the order is wrong. So the connection owns the images and closes any
    that are still open in the right order.
    """

    def __init__(self, storage: str, cluster: Cluster, pool: Pool) -> None:
        self.storage, self.cluster, self.pool = storage, cluster, pool
        self.rbd = load().operations()
        self._images: list[RbdImage] = []
        self._end = weakref.finalize(self, _forgotten, self._images, pool, cluster)

    def image(self, name: str, snapshot: str | None = None, *, read_only: bool = True) -> RbdImage | None:
        """Open an image, or return None if there is none of that name (or no such snapshot)."""
        with translated(self.storage, f"opening {name}"):
            try:
                image = load().open_image(self.pool, name, snapshot, read_only)
            except load().rbd.ImageNotFound:
                return None
        self._images.append(image)
        return image

    def close_image(self, image: RbdImage) -> None:
        """Close an image, also if its lock was taken over."""
        if image in self._images:
            self._images.remove(image)
            with translated(self.storage, "closing"):
                image.close()

    def close(self) -> None:
        """Leave the cluster. Safe to repeat."""
        if self._end.detach() is not None:
            with translated(self.storage, "closing"):
                _leave(self._images, self.pool, self.cluster)


def _forgotten(images: list[RbdImage], pool: Pool, cluster: Cluster) -> None:
    """Close an abandoned connection, but not from one of Ceph's own threads, which would wait for itself."""
    if threading.current_thread() is threading.main_thread():
        _leave(images, pool, cluster)
    else:
        threading.Thread(target=_leave, args=(images, pool, cluster), daemon=True).start()


def _leave(images: list[RbdImage], pool: Pool, cluster: Cluster) -> None:
    try:
        while images:
            images.pop().close()
    finally:
        pool.close()
        cluster.shutdown()


def connect(
    storage: str, address: CephAddress, credentials: str | None, *, timeout_s: float, quick: bool = False
) -> Connection:
    """Join the cluster and open the pool.

    timeout_s: how long one operation may wait for an OSD; `quick` shortens it to the connect timeout.
    Raises StorageUnavailable within 5 s if the cluster does not answer, StorageRefused if it refuses anything.
    """
    if not Path(address.conf).is_file():
        raise StorageRefused(storage, f"its configuration file {address.conf} does not exist")
    wait = CONNECT_S if quick else max(1, round(timeout_s))
    try:
        cluster = load().cluster(address.conf, address.user, _options(storage, address, credentials, wait))
    except load().rados.Error as error:
        raise StorageRefused(storage, f"its configuration file {address.conf} can't be read") from error
    try:
        _join(storage, address, cluster)
        return Connection(storage, cluster, _open_pool(storage, address, cluster))
    except BaseException:
        cluster.shutdown()
        raise


def _options(storage: str, address: CephAddress, credentials: str | None, wait_s: int) -> dict[str, str]:
    """Return the options that override the configuration file.

    librbd's cache is off: objects are written and read once, whole, and an acknowledged write has to be durable.
    """
    key = {"key": key_of(storage, address.user, credentials)} if credentials else {}
    return key | {
        "client_mount_timeout": str(CONNECT_S),
        "rados_mon_op_timeout": str(CONNECT_S),
        "rados_osd_op_timeout": str(wait_s),
        "rbd_cache": "false",
        "log_to_stderr": "false",
        "err_to_stderr": "false",
    }


def _join(storage: str, address: CephAddress, cluster: Cluster) -> None:
    rados, who = load().rados, f"client.{address.user}"
    try:
        cluster.connect()
    except rados.PermissionDeniedError as error:
        raise StorageRefused(storage, f"the key of {who} is wrong or the user is unknown") from error
    except rados.ObjectNotFound as error:
        raise StorageRefused(storage, f"no keyring was found for {who}; name a secret in credentials") from error
    except rados.InvalidArgumentError as error:
        raise StorageRefused(storage, f"the key of {who} is not a cephx key") from error
    except rados.Error as error:
        raise StorageUnavailable(storage, f"no monitor answered within {CONNECT_S} s") from error


def _open_pool(storage: str, address: CephAddress, cluster: Cluster) -> Pool:
    with translated(storage, f"opening pool {address.pool!r}"):
        try:
            pool = cluster.open_ioctx(address.pool)
        except load().rados.ObjectNotFound as error:
            raise StorageRefused(storage, f"there is no pool {address.pool!r} in its cluster") from error
    # without this every write to a full pool waits forever; with it writes fail at once
    pool.set_osdmap_full_try()
    return pool


@contextmanager
def translated(storage: str, doing: str, subject: str = "") -> Iterator[None]:
    """Translate any error of the bindings into one of ours; `subject` names the landing or image in use."""
    try:
        yield
    except load().failures as error:
        raise fault(storage, doing, getattr(error, "errno", 0) or 0, subject, str(error)) from error


def fault(storage: str, doing: str, number: int, subject: str = "", words: str = "") -> ImagewrightError:
    """Return our error for a Ceph errno."""
    number = abs(number)
    if number in FENCED or (number in LOCK_LOST and subject):
        return ImageBusy(subject or f"on {storage}", "another worker")
    if number in FULL:
        return CapacityExceeded(storage, needed=OBJECT_BYTES, available=0)
    if number in REFUSED:
        return StorageRefused(storage, f"{doing} is not permitted; grant the user 'profile rbd' on mon and pool")
    if number in UNREACHABLE:
        return StorageUnavailable(storage, f"{doing} got no answer in time")
    return StorageUnavailable(storage, f"{doing} failed: {words or errno.errorcode.get(number, number)}")
