"""Delete bytes that the catalog no longer refers to, now or, if that fails, later as deferred work."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import StorageUnavailable
from catalog.records import Deferred, ImageStatus, Record, ReplicaStatus
from catalog.settings import Settings
from storage.replicas.landings import discard_landings
from tasks.images.kept_exports import is_kept, keeper_of
from tasks.images.withdraw import finish_withdrawal
from tasks.replicas.landings import open_to_delete
from tasks.runtime.export_places import location_of, path_here
from tasks.runtime.locks import WITHDRAW
from tasks.runtime.resources import known_image, open_image_storage

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.change import Change

ALIVE = (ReplicaStatus.LANDING, ReplicaStatus.READY, ReplicaStatus.DAMAGED)


class Deletion(Record):
    """Bytes to delete. operation: the kind of deferred work, a key of `HANDLERS`."""

    operation: str
    subject: str
    image_id: str
    storage: str = ""
    location: str = ""
    bytes: int = 0  # freed at once by the deletion; an ImageStore frees its chips only at the next reclaim

    def defer(self, change: "Change", reason: str) -> None:
        """Record the deletion as deferred work."""
        change.defer(
            self.operation,
            self.subject,
            reason,
            storage=self.storage,
            location=self.location,
            size_bytes=self.bytes,
        )


def deletion_of(work: Deferred) -> Deletion:
    """Return the deletion that deferred work stands for. An export's image id is the name of its file's folder."""
    image_id = work.image_id or (Path(work.location).parent.name if work.operation == "delete export" else "")
    return Deletion(
        operation=work.operation,
        subject=work.subject,
        image_id=image_id,
        storage=work.storage,
        location=work.location,
        bytes=work.bytes,
    )


def carry_out(catalog: "Catalog", settings: Settings, bits: Deletion) -> None:
    """Delete the bytes; a no-op if they are gone.

    Raises StorageUnavailable, StorageRefused, ReplicaInUse, StorageNotFound.
    """
    HANDLERS[bits.operation](catalog, settings, bits)


def _delete_replica(catalog: "Catalog", settings: Settings, bits: Deletion) -> None:
    from storage.registry import require_present

    for replica in catalog.replicas(bits.image_id, image_storage=bits.storage):
        if replica.status in ALIVE:
            return  # the image was brought here again meanwhile: its bytes are in use
    record = catalog.image_storage(bits.storage)
    require_present(record, settings.host_name)
    open_image_storage(record, settings).delete(bits.image_id)


def _delete_landing(catalog: "Catalog", settings: Settings, bits: Deletion) -> None:
    image = known_image(catalog, bits.image_id)
    if image is not None and image.status is not ImageStatus.DELETED:
        return  # the image was added again meanwhile: its landing is in use
    discard_landings(open_to_delete(catalog, settings, bits.storage), bits.image_id)


def _delete_export(catalog: "Catalog", settings: Settings, bits: Deletion) -> None:
    exports = [e for e in catalog.exports(bits.image_id) if bits.subject != f"export:{e.id}"]
    if any(location_of(e) == bits.location for e in exports):
        return  # exported again meanwhile, under the same name
    if is_kept(bits.location):
        keeper_of(catalog, settings, bits.storage).delete_export(bits.location)
        return
    file = path_here(bits.location, settings)
    if settings.catalog_is_shared:
        _require_place(catalog, settings, bits, file)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageUnavailable(f"exports at {file.parent}", error.strerror or str(error)) from error
    with suppress(OSError):
        file.parent.rmdir()  # the image's folder, once it is empty


def _require_place(catalog: "Catalog", settings: Settings, bits: Deletion, file: Path) -> None:
    """Raise StorageUnavailable if the file may be missing only because this host does not see its folder."""
    from storage.registry import require_present

    record = catalog.image_storage(bits.storage) if bits.storage else None
    if record is not None and record.url.startswith("file:"):
        require_present(record, settings.host_name)
    elif not bits.location.startswith("file://") and not file.exists():
        raise StorageUnavailable(f"exports at {file.parent}", f"this host, {settings.host_name!r}, does not see {file}")


def _withdraw(catalog: "Catalog", _settings: Settings, bits: Deletion) -> None:
    finish_withdrawal(catalog, bits.image_id, "admin")


HANDLERS: Mapping[str, Callable[["Catalog", Settings, Deletion], None]] = {
    "delete replica": _delete_replica,
    "delete leftover": _delete_replica,
    "delete landing": _delete_landing,
    "delete export": _delete_export,
    WITHDRAW: _withdraw,
}
"""Every kind of deferred work: adding one adds a function and a row."""
