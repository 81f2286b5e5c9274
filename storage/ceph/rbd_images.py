"""Our RBD images: metadata, the writer's lock and its takeover, and removal from any state."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from catalog.errors import DigestMismatch, ReplicaInUse, StorageRefused, StorageUnavailable
from catalog.records import Record
from storage.ceph.client.bindings import RbdImage, Trashed, load, names
from storage.ceph.client.connection import Connection, translated
from storage.ceph.layout import FEATURES, LANDING, OBJECT_BYTES, ORDER, SNAPSHOT, VERSION, VERSION_KEY
from storage.ceph.rows import remove_rows

Stored = TypeVar("Stored", bound=Record)
TRASH = "rbd_trash"  # RBD deletes through this object and creates it at the first deletion
BUSY = {errno.EBUSY, errno.ENOTEMPTY}


def create(connection: Connection, name: str, size_bytes: int) -> None:
    """Create an empty image and the trash object that its deletion needs: a full pool accepts no new object."""
    with translated(connection.storage, "creating the landing"):
        connection.pool.write(TRASH, b"", 0)
        connection.rbd.create(connection.pool, name, size_bytes, order=ORDER, old_format=False, features=FEATURES)


@contextmanager
def opened(connection: Connection, name: str, *, read_only: bool = True) -> Iterator[RbdImage | None]:
    """Open an image for the length of the block; yields None if there is none of that name."""
    image = connection.image(name, read_only=read_only)
    try:
        yield image
    finally:
        if image is not None:
            connection.close_image(image)


def read_record(image: RbdImage, key: str, kind: type[Stored]) -> Stored | None:
    """Return a record from the metadata, or None. Raises DigestMismatch if it is damaged."""
    text = read_text(image, key)
    try:
        return None if text is None else kind.model_validate_json(text)
    except ValueError as error:
        expected = f"a record of {kind.__name__}"
        raise DigestMismatch(
            f"{key} of RBD image {image.id()}", expected, f"{len(text or '')} other letters"
        ) from error


def read_undamaged(image: RbdImage, key: str, kind: type[Stored]) -> Stored | None:
    """Return a record, or None if it is absent or damaged: a landing without one begins anew."""
    with suppress(DigestMismatch):
        return read_record(image, key, kind)
    return None


def read_text(image: RbdImage, key: str) -> str | None:
    """Return a metadata value, or None."""
    try:
        return image.metadata_get(key)
    except KeyError:
        return None


def check_version(storage: str, image: RbdImage, name: str) -> None:
    """Raise StorageRefused for an image written by a newer Imagewright."""
    version = read_text(image, VERSION_KEY)
    if version not in {None, VERSION}:
        raise StorageRefused(storage, f"{name} has format version {version}; this program knows {VERSION}")


def take_lock(connection: Connection, image: RbdImage, subject: str) -> None:
    """Become the only writer at once, whoever held the lock.

    The former owner is put on the cluster's blocklist: if it was slow rather than dead, its late writes fail.
    """
    with translated(connection.storage, "taking the landing over", subject):
        mode = load().rbd.RBD_LOCK_MODE_EXCLUSIVE
        if not image.is_exclusive_lock_owner():
            for owner in image.lock_get_owners():
                _break(image, mode, owner["owner"])
        image.lock_acquire(mode)


def _break(image: RbdImage, mode: int, owner: str) -> None:
    try:
        image.lock_break(mode, owner)
    except load().rbd.ImageNotFound:  # the watcher left just now
        return


def _fence_others(connection: Connection, image: RbdImage) -> None:
    """Put every other client that has an image open for writing on the blocklist.

    RBD deletes no open image, and for 30 s treats a process that died before it got the lock as having the image open.
    """
    others = [one for one in list(image.watchers_list()) if one["id"] != connection.cluster.get_instance_id()]
    for one in others:
        connection.cluster.blocklist_add(one["addr"])
    if others:
        connection.cluster.wait_for_latest_osdmap()


def written_objects(image: RbdImage, size_bytes: int) -> set[int]:
    """Return the objects at the front of an image that the cluster holds. Raises Ceph's errors."""
    found: set[int] = set()

    def note(offset: int, length: int, exists: bool) -> None:
        if exists:
            found.update(range(offset // OBJECT_BYTES, -(-(offset + length) // OBJECT_BYTES)))

    image.diff_iterate(0, size_bytes, None, note, include_parent=False, whole_object=True)
    return found


def has_snapshot(image: RbdImage) -> bool:
    """Tell whether an image is published and not being deleted."""
    return SNAPSHOT in {snapshot["name"] for snapshot in image.list_snaps()}


def clones(image: RbdImage) -> tuple[str, ...]:
    """Return pool/image of every clone of any snapshot, sorted."""
    found: set[str] = set()
    for snapshot in list(image.list_snaps()):
        image.set_snap(snapshot["name"])
        found.update(names(image.list_children2()))
    image.set_snap(None)
    return tuple(sorted(found))


def remove(connection: Connection, name: str, subject: str) -> None:
    """Delete an image with its snapshots and rows; a no-op if absent, and safe to repeat at every point.

    An image without its snapshot no longer counts as a replica; a deletion mark in its metadata could not be written in
    a full pool.
    Raises ReplicaInUse, with nothing changed, while clones of it exist.
    """
    with opened(connection, name, read_only=False) as image, translated(connection.storage, "deleting", subject):
        if image is None or name not in connection.rbd.list(connection.pool):
            _remove_remains(connection, name)
            return
        _refuse_clones(connection, image, subject)
        take_lock(connection, image, subject)
        if name.startswith(LANDING):
            _fence_others(connection, image)
        _unprotect(connection, image, subject)
        for snapshot in list(image.list_snaps()):
            image.remove_snap(snapshot["name"])
        remove_rows(connection, image.id())
    _remove_image(connection, name, subject)
    empty_trash(connection, name)


def _remove_remains(connection: Connection, name: str) -> None:
    """Delete what RBD leaves of a name after an interrupted creation, renaming or deletion.

    A name missing from the pool's directory may still open an image that has another name by now: only the name is
    deleted.
    """
    if name in connection.rbd.list(connection.pool):
        connection.rbd.remove(connection.pool, name)
    else:
        remove_name(connection, name)
    empty_trash(connection, name)


def remove_name(connection: Connection, name: str) -> None:
    """Delete the object by which RBD finds an image of that name."""
    with suppress(load().rados.ObjectNotFound):
        connection.pool.remove_object(f"rbd_id.{name}")


def _refuse_clones(connection: Connection, image: RbdImage, subject: str) -> None:
    children = clones(image)
    if children:
        raise ReplicaInUse(subject, connection.storage, children)


def _unprotect(connection: Connection, image: RbdImage, subject: str) -> None:
    """Unprotect the snapshot for deletion; the cluster refuses this if a clone was made in the meantime."""
    if not has_snapshot(image) or not image.is_protected_snap(SNAPSHOT):
        return
    try:
        image.unprotect_snap(SNAPSHOT)
    except load().rbd.ImageBusy as error:
        raise ReplicaInUse(subject, connection.storage, clones(image)) from error


def _remove_image(connection: Connection, name: str, subject: str) -> None:
    with translated(connection.storage, "deleting", subject):
        try:
            connection.rbd.remove(connection.pool, name)
        except load().rbd.ImageNotFound as error:
            _prove_gone(connection, name, error)
        except load().failures as error:
            if getattr(error, "errno", 0) not in BUSY:
                raise
            with opened(connection, name) as image:
                children = () if image is None else clones(image)
            raise ReplicaInUse(subject, connection.storage, children or ("an open reader",)) from error


def _prove_gone(connection: Connection, name: str, answer: Exception) -> None:
    """Tell a deleted image from one that RBD falsely reports as absent, as it does when its trash can't be written."""
    with opened(connection, name) as image:
        if image is not None:
            raise StorageUnavailable(connection.storage, f"{name} could not be deleted") from answer


def empty_trash(connection: Connection, name: str) -> None:
    """Finish interrupted deletions of an image: RBD first moves it to the pool's trash, out of listings."""
    with translated(connection.storage, "emptying the trash"):
        for entry in list(connection.rbd.trash_list(connection.pool)):
            if entry["name"] == name:
                remove_trashed(connection, entry)


def remove_trashed(connection: Connection, entry: Trashed) -> None:
    """Delete an image in the trash, with its rows. Raises ReplicaInUse, with nothing changed, if it has snapshots."""
    with translated(connection.storage, "emptying the trash"):
        try:
            connection.rbd.trash_remove(connection.pool, entry["id"], force=True)
        except load().failures as error:
            if getattr(error, "errno", 0) not in BUSY:
                raise
            users = ("its snapshots, clones or a deletion under way",)
            raise ReplicaInUse(f"{entry['name']} in the trash", connection.storage, users) from error
    remove_rows(connection, entry["id"])
