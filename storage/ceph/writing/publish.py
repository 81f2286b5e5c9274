"""From a finished landing to a published replica: a chain of steps, each safe to repeat, ended by one rename."""

from datetime import datetime

from catalog.errors import DigestMismatch, IllegalTransition, StaleLanding
from catalog.records import Image, ImageFormat, Replica, ReplicaStatus
from storage.ceph.client.bindings import RbdImage
from storage.ceph.client.connection import Connection, translated
from storage.ceph.layout import (
    DIGESTS_KEY,
    FINISHED_KEY,
    IMAGE_KEY,
    REPLICA_KEY,
    SNAPSHOT,
    Finished,
    landing_name,
    published_name,
)
from storage.ceph.rbd_images import check_version, has_snapshot, opened, read_record, remove, remove_name, take_lock
from storage.protocols import Digests


def publish(
    connection: Connection,
    pool: str,
    landing_id: str,
    image: Image,
    stored_format: ImageFormat,
    digests: Digests | None,
    now: datetime,
) -> Replica:
    """Name a finished landing as the image's replica; a repetition returns the existing replica.

    Metadata → cut → snapshot → protection → rename: every published name is complete. After a crash the next call
    repeats the chain. The cut removes what is left of a qcow2 file behind its disk; after it, `complete` finishes the
    publication.
    digests: None if the stored file was made by conversion and was not measured.
    """
    landing, published = landing_name(landing_id), published_name(image.id)
    complete_rename(connection, landing, published)
    there = published_replica(connection, published)
    if there is not None:
        return _repeated(connection, there, landing, landing_id, digests)
    with opened(connection, landing, read_only=False) as found:
        if found is None:
            raise StaleLanding(landing_id)
        with translated(connection.storage, "publishing", image.id):
            check_version(connection.storage, found, landing)
            finished = _finished(found, landing_id)
            _check_converted(found, finished, landing_id)
            _check_size(landing, finished, digests)
            replica = _replica(connection, f"{pool}/{published}", image, stored_format, finished, digests, now)
            take_lock(connection, found, landing_id)
            _describe(found, image, replica, digests)
            _cut(found, finished)
            _protect(found)
    with translated(connection.storage, "publishing", image.id):
        connection.rbd.rename(connection.pool, landing, published)
    return replica


def complete(connection: Connection, image_id: str) -> None:
    """Finish a publication interrupted after its cut: the file can't be read back any more, but all else is described.

    Only for the caller that may publish the image: a living publisher would be fenced. A no-op in any other state.
    """
    landing, published = landing_name(image_id), published_name(image_id)
    complete_rename(connection, landing, published)
    with opened(connection, landing, read_only=False) as found:
        if found is None or not _is_cut(found) or published_replica(connection, published) is not None:
            return
        with translated(connection.storage, "completing a publication", image_id):
            check_version(connection.storage, found, landing)
            take_lock(connection, found, image_id)
            _protect(found)
    with translated(connection.storage, "completing a publication", image_id):
        connection.rbd.rename(connection.pool, landing, published)


def published_replica(connection: Connection, published: str) -> Replica | None:
    """Return the replica that a published image describes, or None."""
    with opened(connection, published) as found:
        return None if found is None or not has_snapshot(found) else read_record(found, REPLICA_KEY, Replica)


def _repeated(
    connection: Connection, there: Replica, landing: str, landing_id: str, digests: Digests | None
) -> Replica:
    """Answer for an image that is already published; discard the landing if it came again."""
    if digests is not None and there.sha256 not in {None, digests.sha256}:
        raise DigestMismatch(there.location, f"sha256:{there.sha256}", f"sha256:{digests.sha256}")
    remove(connection, landing, landing_id)
    return there


def _finished(found: RbdImage, landing_id: str) -> Finished:
    finished = read_record(found, FINISHED_KEY, Finished)
    if finished is None:
        raise StaleLanding(landing_id)
    return finished


def _check_converted(found: RbdImage, finished: Finished, landing_id: str) -> None:
    """Refuse an unfolded qcow2 file: its image is larger than the file until it is converted."""
    if found.size() != finished.size_bytes and not finished.first_piece:
        raise IllegalTransition(f"image {landing_id}", "a qcow2 file as it came", "publish", ("converted to raw",))


def _check_size(landing: str, finished: Finished, digests: Digests | None) -> None:
    if digests is not None and digests.size_bytes != finished.size_bytes:
        raise DigestMismatch(landing, f"{digests.size_bytes} bytes", f"{finished.size_bytes} bytes")


def _replica(
    connection: Connection,
    location: str,
    image: Image,
    stored_format: ImageFormat,
    finished: Finished,
    digests: Digests | None,
    now: datetime,
) -> Replica:
    return Replica(
        image_id=image.id,
        image_storage=connection.storage,
        status=ReplicaStatus.READY,
        format=stored_format,
        location=location,
        size_bytes=finished.size_bytes,
        stored_bytes=finished.stored_bytes,
        md5=digests.md5 if digests else None,
        sha256=digests.sha256 if digests else None,
        created_at=now,
    )


def _describe(found: RbdImage, image: Image, replica: Replica, digests: Digests | None) -> None:
    found.metadata_set(IMAGE_KEY, image.model_dump_json())
    found.metadata_set(REPLICA_KEY, replica.model_dump_json())
    if digests is not None:
        found.metadata_set(DIGESTS_KEY, digests.model_dump_json())


def _cut(found: RbdImage, finished: Finished) -> None:
    """Cut off what lies behind the disk of an unfolded file."""
    if found.size() != finished.size_bytes:
        found.resize(finished.size_bytes)


def _is_cut(found: RbdImage) -> bool:
    """Tell whether a landing is a disk that lacks only the snapshot and the name."""
    finished = read_record(found, FINISHED_KEY, Finished)
    if finished is None or not finished.first_piece or found.size() != finished.size_bytes:
        return False
    return read_record(found, REPLICA_KEY, Replica) is not None


def _protect(found: RbdImage) -> None:
    if not has_snapshot(found):
        found.create_snap(SNAPSHOT)
    if not found.is_protected_snap(SNAPSHOT):
        found.protect_snap(SNAPSHOT)


def complete_rename(connection: Connection, landing: str, published: str) -> None:
    """Finish or undo a rename that a crash interrupted.

    RBD renames in three writes: a name object for the new name, the pool's directory, removal of the old name object.
    Between them both names open the same image, the directory knows one of them, and renaming again answers only
    "exists".
    """
    with opened(connection, landing) as old, opened(connection, published) as new:
        if old is None or new is None or old.id() != new.id():
            return
    with translated(connection.storage, "completing a rename"):
        listed = set(connection.rbd.list(connection.pool))
        remove_name(connection, landing if published in listed else published)


def record_digests(connection: Connection, published: str, image_id: str, digests: Digests) -> None:
    """Record the digests of a stored file that was measured after it was published. A no-op if the image is gone."""
    with opened(connection, published, read_only=False) as found:
        replica = None if found is None else read_record(found, REPLICA_KEY, Replica)
        if found is None or replica is None:
            return
        with translated(connection.storage, "recording digests", image_id):
            measured = replica.model_copy(update={"md5": digests.md5, "sha256": digests.sha256})
            found.metadata_set(DIGESTS_KEY, digests.model_dump_json())
            found.metadata_set(REPLICA_KEY, measured.model_dump_json())
