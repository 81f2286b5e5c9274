"""Bits that the catalog has let go of: deleted now, or, where that can't be done now, remembered and deleted later."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import ImageNotFound, StorageUnavailable
from catalog.records import Deferred, ImageStatus, Record, ReplicaStatus
from catalog.settings import Settings
from tasks.fail import discard_landings, open_to_delete
from tasks.resources import open_image_storage
from tasks.withdrawal import WITHDRAW, finish_withdrawal

if TYPE_CHECKING:
    from catalog.change import Change
    from catalog.repository import Catalog

ALIVE = (ReplicaStatus.LANDING, ReplicaStatus.READY, ReplicaStatus.DAMAGED)


class Bits(Record):
    """Something to delete: `operation` says how, as the deferred work is called."""

    operation: str
    subject: str
    image_id: str
    storage: str = ""
    location: str = ""
    bytes: int = 0  # given back at once by deleting them; an ImageStore gives its chips back by reclaim

    def defer(self, change: "Change", reason: str) -> None:
        """Remember them as deferred work."""
        change.defer(
            self.operation, self.subject, reason,
            storage=self.storage, location=self.location, size_bytes=self.bytes,
        )  # fmt: skip


def bits_of(work: Deferred) -> Bits:
    """Return what deferred work is about."""
    return Bits(operation=work.operation, subject=work.subject, image_id=work.image_id or "",
                storage=work.storage, location=work.location, bytes=work.bytes)  # fmt: skip


def delete_bits(catalog: "Catalog", settings: Settings, bits: Bits) -> None:
    """Delete them; a no-op where they are gone. Raises StorageUnavailable, StorageRefused, ReplicaInUse, StorageNotFound."""
    HANDLERS[bits.operation](catalog, settings, bits)


def _delete_replica(catalog: "Catalog", settings: Settings, bits: Bits) -> None:
    from storage.registry import require_present

    for replica in catalog.replicas(bits.image_id, image_storage=bits.storage):
        if replica.status in ALIVE:
            return  # the image was brought here again meanwhile: these bits are in use
    record = catalog.image_storage(bits.storage)
    require_present(record)
    open_image_storage(record, settings).delete(bits.image_id)


def _delete_landing(catalog: "Catalog", settings: Settings, bits: Bits) -> None:
    with suppress(ImageNotFound):
        if catalog.image(bits.image_id).status is not ImageStatus.DELETED:
            return  # it was added again meanwhile: what is landing is wanted
    discard_landings(open_to_delete(catalog, settings, bits.storage), bits.image_id)


def _delete_export(catalog: "Catalog", _settings: Settings, bits: Bits) -> None:
    if any(
        e.path == bits.location and bits.subject != f"export:{e.id}" for e in catalog.exports(bits.image_id)
    ):
        return  # exported again meanwhile, under the same name
    file = Path(bits.location)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageUnavailable(f"exports at {file.parent}", error.strerror or str(error)) from error
    with suppress(OSError):
        file.parent.rmdir()  # the image's folder, once it is empty


def _withdraw(catalog: "Catalog", _settings: Settings, bits: Bits) -> None:
    finish_withdrawal(catalog, bits.image_id, "admin")


HANDLERS: Mapping[str, Callable[["Catalog", Settings, Bits], None]] = {
    "delete replica": _delete_replica,
    "delete leftover": _delete_replica,
    "delete landing": _delete_landing,
    "delete export": _delete_export,
    WITHDRAW: _withdraw,
}
"""Every kind of deferred work: adding one adds a function and a row."""
