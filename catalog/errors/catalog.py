"""Errors about images, accounts and the catalog itself."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from catalog.errors.root import ImagewrightError, NotFound
from catalog.errors.telling import beginning, doing, worker


class InvalidRequest(ImagewrightError):
    """A request breaks a rule of its form."""

    def __init__(self, parameter: str, given: object, allowed: str) -> None:
        self.parameter, self.given, self.allowed = parameter, given, allowed
        told = "nothing" if given in (None, (), []) else beginning(repr(given))
        super().__init__(f"{parameter}: {told} is not allowed; {allowed}")


class ImageNotFound(NotFound):
    """No such image, or the account may not see it. where: the place searched, if not the whole catalog."""

    kind = "image"
    command = "images"


class StorageNotFound(NotFound):
    """No such image storage or primary storage. registered: the registered ones; None: not disclosed."""

    kind = "image storage"
    register = "register-image-storage"

    def __init__(self, name: str, registered: Sequence[str] | None = None) -> None:
        self.registered = registered
        super().__init__(name)
        if registered is not None:
            there = f"there are {', '.join(registered)}" if registered else "none is registered in this catalog"
            self.args = (f"no {self.kind} {name!r}: {there}; `imagewright {self.register}` adds one",)


class VolumeNotFound(NotFound):
    """No such volume."""

    kind = "volume"
    command = "volumes"


class HostNotFound(NotFound):
    """No such host: none of this name has ever sent a sign of life."""

    kind = "host"
    command = "hosts"


class RunLost(ImagewrightError):
    """A run on another host ended without reporting a result."""

    def __init__(self, run_id: str, reason: str) -> None:
        self.run_id, self.reason = run_id, reason
        super().__init__(
            f"run {run_id} did not do what it was handed: {reason}; its page in the Prefect UI has the log"
        )


class PrimaryStorageNotFound(StorageNotFound):
    """No such primary storage."""

    kind = "primary storage"
    register = "register-primary-storage"


class ExportNotFound(NotFound):
    """No such exported image."""

    kind = "exported image"
    command = "exports"


class ReservationNotFound(NotFound):
    """No room is reserved for this image."""

    kind = "reservation"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.args = (f"no room is reserved for {name!r} any more; add it again",)


class LeftoverNotFound(NotFound):
    """No such leftover."""

    kind = "leftover"
    command = "leftovers"


class LineageNotProven(ImagewrightError):
    """A signed lineage does not match its signature."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"this lineage is not proven: {reason}; ask for it again, and compare the key")


class FamilyNotFound(NotFound):
    """No such family."""

    kind = "family"
    command = "families"


class WatchNotFound(NotFound):
    """No such watch."""

    kind = "watch"
    command = "watches"


class PromotionRefused(ImagewrightError):
    """A build did not pass the gates of its family. failed: gate → sentence, for each gate not passed."""

    def __init__(self, image_id: str, family: str, failed: Mapping[str, str]) -> None:
        self.image_id, self.family, self.failed = image_id, family, dict(failed)
        told = "; ".join(f"{gate}: {sentence}" for gate, sentence in self.failed.items())
        super().__init__(f"image {image_id} can't be the latest of family {family!r}: {told}")


class WebhookNotFound(NotFound):
    """No such webhook."""

    kind = "webhook"
    command = "webhooks"


class CatalogUnavailable(ImagewrightError):
    """The catalog's database does not answer, or was busy for too long."""

    retryable = True
    remedy: ClassVar[str] = "; check its database and try again"

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(f"the catalog at {address} is unavailable: {reason}{self.remedy}")


class CatalogFull(CatalogUnavailable):
    """The disk of the catalog is full. Deleting still works, because it may use a reserve."""

    retryable = False
    remedy = ""

    def __init__(self, address: str, folder: str, free: int) -> None:
        self.folder, self.free = folder, free
        super().__init__(
            address,
            f"its disk is full: {free} bytes are free in {folder}; expunge images, delete exports, or make room there",
        )


class CatalogOutdated(ImagewrightError):
    """The database's schema is not the one that this version of the program knows."""

    def __init__(self, address: str, found: str, expected: str) -> None:
        self.address, self.found, self.expected = address, found, expected
        super().__init__(
            f"the catalog at {address} has schema {found or 'none'}, this program needs {expected}; "
            "run `python -m catalog.migrate` with the newer program"
        )


class LogDamaged(ImagewrightError):
    """The event log was changed after it was written."""

    def __init__(self, sequence: int, reason: str) -> None:
        self.sequence, self.reason = sequence, reason
        super().__init__(
            f"event {sequence} of the log is not what was written: {reason}; "
            "find who changed the catalog's database, or restore the catalog from a backup"
        )


class RecordNotLogged(ImagewrightError):
    """A record and the event log disagree: one was changed without the other."""

    def __init__(self, subject: str, reason: str) -> None:
        self.subject, self.reason = subject, reason
        super().__init__(
            f"{subject} is not what the event log says of it: {reason}; find who changed the catalog's database, "
            "or restore the catalog from a backup"
        )


class RecordUnreadable(ImagewrightError):
    """A row of the catalog's database holds no valid record: it was changed or damaged from outside."""

    def __init__(self, subject: str, reason: str) -> None:
        self.subject, self.reason = subject, reason
        super().__init__(
            f"the catalog's record {subject} can't be read: {reason}; put its row right in the database or restore the "
            "catalog from a backup (`imagewright events` shows what it was)"
        )


class RecordsUnreadable(ImagewrightError):
    """A listing left out rows that hold no valid record."""

    def __init__(self, unreadable: Sequence[RecordUnreadable]) -> None:
        self.unreadable = tuple(unreadable)
        told = "; ".join(str(error) for error in self.unreadable[:3])
        more = f"; and {len(self.unreadable) - 3} more" if len(self.unreadable) > 3 else ""
        super().__init__(f"left out of the listing: {told}{more}")


class AccessDenied(ImagewrightError):
    """The account may see the image but may not do this with it."""

    def __init__(self, account: str, operation: str, image_id: str) -> None:
        self.account, self.operation, self.image_id = account, operation, image_id
        super().__init__(
            f"image {image_id} is another account's: {account!r} may not {operation}, only its owner or admin may"
        )


class IllegalTransition(ImagewrightError):
    """The present status does not allow the operation."""

    def __init__(self, thing: str, status: str, operation: str, allowed: Sequence[str]) -> None:
        self.thing, self.status, self.operation, self.allowed = thing, status, operation, tuple(allowed)
        super().__init__(f"{thing} is {status}: {operation} is allowed only when it is {' or '.join(self.allowed)}")


class StaleImage(ImagewrightError):
    """The record was changed by somebody else after it was read."""

    retryable = True

    def __init__(self, image_id: str, expected: int, actual: int) -> None:
        self.image_id, self.expected, self.actual = image_id, expected, actual
        super().__init__(
            f"image {image_id} changed meanwhile (it is at version {actual}, this change was made to {expected}); "
            "look at it again and repeat the change"
        )


class ImageBusy(ImagewrightError):
    """Another run is working on the image. image_id: or the name of the lock; holder: who has it, empty if unknown."""

    retryable = True

    def __init__(self, image_id: str, holder: str) -> None:
        self.image_id, self.holder = image_id, holder
        super().__init__(f"{doing(image_id)} by {worker(holder)}; wait for it or cancel it")


class QuotaExceeded(ImagewrightError):
    """The account's quota does not cover the request."""

    def __init__(self, account: str, quota: str, limit: int, used: int, wanted: int) -> None:
        self.account, self.quota, self.limit, self.used, self.wanted = account, quota, limit, used, wanted
        super().__init__(
            f"account {account!r} has used {used} of {limit} ({quota}); {wanted} more do not fit; "
            "expunge images of this account, or raise its quota (`imagewright set-account`)"
        )


class QualityFailed(ImagewrightError):
    """Data-quality checks keep the image from becoming Ready."""

    def __init__(self, subject: str, failed: Sequence[str]) -> None:
        self.subject, self.failed = subject, tuple(failed)
        checks = "1 quality check" if len(self.failed) == 1 else f"{len(self.failed)} quality checks"
        super().__init__(
            f"{subject} failed {checks}: {'; '.join(self.failed)}; correct what was declared, or the file, and add it again"
        )


class Withdrawn(ImagewrightError):
    """The image was deleted while it was still arriving."""

    def __init__(self, image_id: str) -> None:
        self.image_id = image_id
        super().__init__(
            f"image {image_id} was deleted while it was arriving; nothing of it is kept; add it again if it is wanted"
        )


class SomeFailed(ImagewrightError):
    """An operation on several things failed for some of them; it is done for the others."""

    def __init__(self, operation: str, failed: Mapping[str, ImagewrightError], done: int) -> None:
        self.operation, self.failed, self.done = operation, dict(failed), done
        why = "; ".join(f"{name}: {error}" for name, error in failed.items())
        super().__init__(f"{operation} failed for {len(failed)} of {done + len(failed)}: {why}")


class NothingMatches(ImagewrightError):
    """No image matches the selection: a typing error in a schedule must not pass as success every night."""

    def __init__(self, storage: str, asked: str) -> None:
        self.storage, self.asked = storage, asked
        super().__init__(
            f"no Ready image on image storage {storage!r} matches {asked}; nothing was done "
            f"(`imagewright images --image-storage {storage}` lists what is there)"
        )


class SyncFailed(ImagewrightError):
    """None of the images given by id could be synchronised."""

    def __init__(self, source: str, target: str, failed: Mapping[str, str]) -> None:
        self.source, self.target, self.failed = source, target, dict(failed)
        why = "; ".join(f"{image_id}: {sentence}" for image_id, sentence in failed.items())
        super().__init__(f"nothing was synchronised from {source!r} to {target!r}: {why}")


class BackupFailed(ImagewrightError):
    """A backup could not be made, can't be read, or may not be restored here."""

    def __init__(self, place: str, reason: str) -> None:
        self.place, self.reason = place, reason
        super().__init__(f"backup {place}: {reason}")


class HomeNotMigrated(ImagewrightError):
    """The catalog of a home could not be copied into the shared database; nothing was written there."""

    def __init__(self, home: str, reason: str) -> None:
        self.home, self.reason = home, reason
        super().__init__(f"the home {home} was not migrated: {reason}")
