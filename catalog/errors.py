"""Every error that Imagewright raises on purpose: one class per thing a caller can act on.

`retryable` decides whether a task is tried again; it is asked in one place only. Values are kept as
attributes, and the message is one sentence that says what was given and what is allowed or what to do next.
"""

from collections.abc import Mapping, Sequence

from catalog.error import ImagewrightError, NotFound
from catalog.format_errors import ConversionFailed, FormatMismatch, MissingProgram, ProgramFailed, UnsafeImage
from catalog.source_errors import (
    ChecksumMismatch,
    SourceChanged,
    SourceError,
    SourceForbidden,
    SourceNotFound,
    TransferInterrupted,
    TransferTooLong,
    UploadBusy,
    UploadNotFound,
)
from catalog.storage_errors import (
    CapacityExceeded,
    DigestMismatch,
    ObjectMissing,
    ReplicaInUse,
    StaleLanding,
    StorageError,
    StorageRefused,
    StorageUnavailable,
)

__all__ = [
    "AccessDenied",
    "CapacityExceeded",
    "CatalogOutdated",
    "CatalogUnavailable",
    "ChecksumMismatch",
    "ConversionFailed",
    "DigestMismatch",
    "ExportNotFound",
    "FormatMismatch",
    "IllegalTransition",
    "ImageBusy",
    "ImageNotFound",
    "ImagewrightError",
    "InvalidRequest",
    "LeftoverNotFound",
    "LogDamaged",
    "MissingProgram",
    "NotFound",
    "ObjectMissing",
    "PrimaryStorageNotFound",
    "ProgramFailed",
    "QualityFailed",
    "QuotaExceeded",
    "RecordNotLogged",
    "ReplicaInUse",
    "ReservationNotFound",
    "SomeFailed",
    "SourceChanged",
    "SourceError",
    "SourceForbidden",
    "SourceNotFound",
    "StaleImage",
    "StaleLanding",
    "StorageError",
    "StorageNotFound",
    "StorageRefused",
    "StorageUnavailable",
    "SyncFailed",
    "TransferInterrupted",
    "TransferTooLong",
    "UnsafeImage",
    "UploadBusy",
    "UploadNotFound",
    "VolumeNotFound",
    "Withdrawn",
]


class InvalidRequest(ImagewrightError):
    """A request breaks a rule of its form."""

    def __init__(self, parameter: str, given: object, allowed: str) -> None:
        self.parameter, self.given, self.allowed = parameter, given, allowed
        super().__init__(f"{parameter}: {given!r} is not allowed; {allowed}")


class ImageNotFound(NotFound):
    """No such image, or not visible to the account."""

    kind = "image"


class StorageNotFound(NotFound):
    """No such image storage or primary storage."""

    kind = "image storage"


class VolumeNotFound(NotFound):
    """No such volume."""

    kind = "volume"


class PrimaryStorageNotFound(StorageNotFound):
    """No such primary storage."""

    kind = "primary storage"


class ExportNotFound(NotFound):
    """No such exported image."""

    kind = "exported image"


class ReservationNotFound(NotFound):
    """Nothing was reserved for this image."""

    kind = "reservation"


class LeftoverNotFound(NotFound):
    """No such leftover."""

    kind = "leftover"


class CatalogUnavailable(ImagewrightError):
    """The catalog's database does not answer, or was busy for too long."""

    retryable = True

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(f"the catalog at {address} is unavailable: {reason}")


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
        super().__init__(f"event {sequence} of the log is not what was written: {reason}")


class RecordNotLogged(ImagewrightError):
    """A record and the event log disagree: one of them was changed past the other."""

    def __init__(self, subject: str, reason: str) -> None:
        self.subject, self.reason = subject, reason
        super().__init__(f"{subject} is not what the event log says of it: {reason}")


class AccessDenied(ImagewrightError):
    """The account may see the image but not do this with it."""

    def __init__(self, account: str, operation: str, image_id: str) -> None:
        self.account, self.operation, self.image_id = account, operation, image_id
        super().__init__(
            f"image {image_id} is another account's: {account!r} may not {operation}, only its owner or admin may"
        )


class IllegalTransition(ImagewrightError):
    """An operation that the present status of the thing does not allow."""

    def __init__(self, thing: str, status: str, operation: str, allowed: Sequence[str]) -> None:
        self.thing, self.status, self.operation, self.allowed = thing, status, operation, tuple(allowed)
        super().__init__(
            f"{thing} is {status}: {operation} is allowed only when it is {' or '.join(self.allowed)}"
        )


class StaleImage(ImagewrightError):
    """Somebody else changed the record between reading and writing it."""

    retryable = True

    def __init__(self, image_id: str, expected: int, actual: int) -> None:
        self.image_id, self.expected, self.actual = image_id, expected, actual
        super().__init__(
            f"image {image_id} changed meanwhile (version {actual}, read as {expected}); read it again"
        )


class ImageBusy(ImagewrightError):
    """Another run is working on the image."""

    retryable = True

    def __init__(self, image_id: str, holder: str) -> None:
        self.image_id, self.holder = image_id, holder
        super().__init__(f"image {image_id} is being worked on by {_told(holder)}; wait for it or cancel it")


def _told(holder: str) -> str:
    """Return the holder of a lock in words: a run by its id, a call from Python by its process."""
    run, at, place = holder.partition("@")
    host, colon, process = place.partition(":")
    if not (at and colon):
        return holder
    return f"process {process.partition(':')[0]} on {host}" if run == "call" else f"run {run} on {host}"


class QuotaExceeded(ImagewrightError):
    """The account's quota does not cover the request."""

    def __init__(self, account: str, quota: str, limit: int, used: int, wanted: int) -> None:
        self.account, self.quota, self.limit, self.used, self.wanted = account, quota, limit, used, wanted
        super().__init__(
            f"account {account!r} has used {used} of {limit} ({quota}); {wanted} more do not fit"
        )


class QualityFailed(ImagewrightError):
    """Data-quality checks keep the image out of Ready."""

    def __init__(self, subject: str, failed: Sequence[str]) -> None:
        self.subject, self.failed = subject, tuple(failed)
        super().__init__(f"{subject} failed {len(self.failed)} quality checks: {'; '.join(self.failed)}")


class Withdrawn(ImagewrightError):
    """The image was deleted while it was still arriving."""

    def __init__(self, image_id: str) -> None:
        self.image_id = image_id
        super().__init__(f"image {image_id} was deleted while it was arriving; nothing of it is kept")


class SomeFailed(ImagewrightError):
    """An operation over several things that failed for some of them; the others are done."""

    def __init__(self, operation: str, failed: Mapping[str, ImagewrightError], done: int) -> None:
        self.operation, self.failed, self.done = operation, dict(failed), done
        why = "; ".join(f"{name}: {error}" for name, error in failed.items())
        super().__init__(f"{operation} failed for {len(failed)} of {done + len(failed)}: {why}")


class SyncFailed(ImagewrightError):
    """None of the images that were asked for by id could be synchronised."""

    def __init__(self, source: str, target: str, failed: Mapping[str, str]) -> None:
        self.source, self.target, self.failed = source, target, dict(failed)
        why = "; ".join(f"{image_id}: {sentence}" for image_id, sentence in failed.items())
        super().__init__(f"nothing was synchronised from {source!r} to {target!r}: {why}")
