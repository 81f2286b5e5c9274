"""Every error that Imagewright raises on purpose: one class per thing a caller can act on.

`retryable` decides whether a task is tried again; it is asked in one place only. Values are kept as
attributes, and the message is one sentence that says what was given and what is allowed or what to do next.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class ImagewrightError(Exception):
    """Root of all errors of this system."""

    retryable: ClassVar[bool] = False


class InvalidRequest(ImagewrightError):
    """A request breaks a rule of its form."""

    def __init__(self, parameter: str, given: object, allowed: str) -> None:
        self.parameter, self.given, self.allowed = parameter, given, allowed
        super().__init__(f"{parameter}: {given!r} is not allowed; {allowed}")


class NotFound(ImagewrightError):
    """A record that was asked for does not exist, or its account may not see it."""

    kind: ClassVar[str] = "record"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no {self.kind} {name!r}; it does not exist or is not visible to this account")


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


class StorageError(ImagewrightError):
    """Root of what goes wrong with a storage."""


class StorageUnavailable(StorageError):
    """A storage that does not answer now."""

    retryable = True

    def __init__(self, storage: str, reason: str) -> None:
        self.storage, self.reason = storage, reason
        super().__init__(f"image storage {storage!r} is unavailable: {reason}")


class StorageRefused(StorageError):
    """A storage that answers and refuses: wrong credentials, wrong pool, wrong format version, disabled."""

    def __init__(self, storage: str, reason: str) -> None:
        self.storage, self.reason = storage, reason
        super().__init__(f"image storage {storage!r} refuses: {reason}")


class CapacityExceeded(StorageError):
    """An image storage, a folder where its path is given, or another place by its name has no room for what is to be written."""

    def __init__(self, storage: str, needed: int, available: int, *, other_place: bool = False) -> None:
        self.storage, self.needed, self.available = storage, needed, available
        place, reserve = f"image storage {storage!r}", " after its reserve"
        if other_place or storage.startswith("/"):
            place, reserve = storage if other_place else f"folder {storage}", ""
        super().__init__(f"{place} has {available} bytes left{reserve}; {needed} are needed")


class ReplicaInUse(StorageError):
    """A replica that something else depends on: clones of it, or somebody reading it."""

    def __init__(self, image_id: str, storage: str, users: Sequence[str]) -> None:
        self.image_id, self.storage, self.users = image_id, storage, tuple(users)
        super().__init__(
            f"{image_id} on image storage {storage!r} is still used by {', '.join(self.users)};"
            " delete or flatten these first"
        )


class ObjectMissing(StorageError):
    """An object (pack, index segment, manifest) that should be in a store is not there."""

    def __init__(self, location: str) -> None:
        self.location = location
        super().__init__(f"{location} is missing from its store; repair it from another replica")


class DigestMismatch(StorageError):
    """Stored bytes are not the bytes that were stored."""

    retryable = True

    def __init__(self, location: str, expected: str, actual: str) -> None:
        self.location, self.expected, self.actual = location, expected, actual
        super().__init__(f"{location}: expected {expected}, read {actual}; repair it from another replica")


class StaleLanding(StorageError):
    """A landing was fenced off by reclaim; what it had kept is gone and it starts over."""

    retryable = True

    def __init__(self, landing: str) -> None:
        self.landing = landing
        super().__init__(f"landing {landing} was swept by reclaim; start it over")


class SourceError(ImagewrightError):
    """Root of what goes wrong with a source. URLs in these errors are always masked."""


class SourceNotFound(SourceError):
    """Nothing at that address."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"nothing to fetch at {url}: {reason}")


class SourceForbidden(SourceError):
    """An address that may not be fetched from: scheme, network, file root, or credentials refused."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"{url} may not be fetched: {reason}")


class UploadNotFound(NotFound):
    """No such upload: never begun, its image is there, or nobody went on with it."""

    kind = "upload"


class UploadBusy(SourceError):
    """Somebody else is sending this upload."""

    retryable = True

    def __init__(self, upload_id: str) -> None:
        self.upload_id = upload_id
        super().__init__(
            f"upload {upload_id} is being sent by somebody else, e.g. another tab; wait or close it"
        )


class SourceChanged(SourceError):
    """The source is no longer the file that was begun; the landing starts over."""

    retryable = True

    def __init__(self, url: str, before: str, now: str) -> None:
        self.url, self.before, self.now = url, before, now
        super().__init__(f"{url} changed meanwhile (was {before}, is {now}); starting over")


class TransferInterrupted(SourceError):
    """A connection that failed, stalled or ended early; what was kept is resumed from."""

    retryable = True

    def __init__(self, url: str, offset: int, reason: str, retry_after_s: float | None = None) -> None:
        self.url, self.offset, self.reason = url, offset, reason
        self.retry_after_s = retry_after_s  # what the server asked for
        super().__init__(f"{url} broke off at byte {offset}: {reason}")


class TransferTooLong(TransferInterrupted):
    """A transfer that used up all its time; not tried again by itself, though what was kept is resumed from."""

    def __init__(self, url: str, offset: int, limit_s: float) -> None:
        self.limit_s = limit_s
        reason = (
            f"all {limit_s:g} s that a transfer may take are over; add it again with its image_id to go on"
        )
        super().__init__(url, offset, f"{reason}, or raise IMAGEWRIGHT_TOTAL_TIMEOUT_S")


class ChecksumMismatch(SourceError):
    """The bytes fetched are not those whose checksum the caller gave."""

    def __init__(self, url: str, expected: str, actual: str) -> None:
        self.url, self.expected, self.actual = url, expected, actual
        super().__init__(f"{url}: expected checksum {expected}, the bytes have {actual}; nothing was kept")


class FormatMismatch(ImagewrightError):
    """Declared and detected format differ."""

    def __init__(self, declared: str, detected: str, found: str = "") -> None:
        self.declared, self.detected, self.found = declared, detected, found
        why = f" ({found})" if found else ""
        super().__init__(
            f"image_format: declared {declared}, but the bytes are {detected}{why}; declare what the file is"
        )


class UnsafeImage(ImagewrightError):
    """The bytes break a safety rule; `findings` are sentences with rule id and offset."""

    def __init__(self, findings: Sequence[str]) -> None:
        self.findings = tuple(findings)
        super().__init__(f"the image is refused: {'; '.join(self.findings)}")


class ConversionFailed(ImagewrightError):
    """A conversion did not finish, or its result is not the guest content of its input."""

    def __init__(self, from_format: str, to_format: str, reason: str) -> None:
        self.from_format, self.to_format, self.reason = from_format, to_format, reason
        super().__init__(f"converting {from_format} to {to_format} failed: {reason}")


class MissingProgram(ImagewrightError):
    """A program or library of the host that this operation needs is not installed."""

    def __init__(self, program: str, package: str) -> None:
        self.program, self.package = program, package
        super().__init__(f"{program} is not installed on this worker; install {package}")


class ProgramFailed(ImagewrightError):
    """A program of the host ended with an error, or was stopped at a limit of time, memory, file size or output."""

    def __init__(self, program: str, reason: str) -> None:
        self.program, self.reason = program, reason
        super().__init__(f"{program} failed: {reason}")
