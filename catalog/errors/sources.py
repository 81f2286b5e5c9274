"""Errors about sources. Import them from `catalog.errors`. URLs in these errors are always masked."""

from typing import ClassVar

from catalog.errors.root import ImagewrightError, NotFound


class SourceError(ImagewrightError):
    """Root of what goes wrong with a source. URLs in these errors are always masked."""


class SourceNotFound(SourceError):
    """Nothing at that address."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"nothing to fetch at {url}: {reason}; check the address")


class SourceForbidden(SourceError):
    """An address that may not be fetched from: scheme, network, file root, or credentials refused."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"{url} may not be fetched: {reason}")


class UploadNotFound(NotFound):
    """No such upload: never begun, its image is there, or nobody went on with it."""

    kind = "upload"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.args = (
            f"no upload {name!r}: it was given up, is an image by now, or is another account's; send the file again",
        )


class UploadBusy(SourceError):
    """Somebody else is sending this upload."""

    retryable = True

    def __init__(self, upload_id: str) -> None:
        self.upload_id = upload_id
        super().__init__(f"upload {upload_id} is being sent by somebody else, e.g. another tab; wait or close it")


class SourceChanged(SourceError):
    """The source is no longer the file that was begun; the landing starts over."""

    retryable = True

    def __init__(self, url: str, before: str, now: str) -> None:
        self.url, self.before, self.now = url, before, now
        super().__init__(f"{url} changed meanwhile (was {before}, is {now}); starting over with what is there now")


class TransferInterrupted(SourceError):
    """A connection that failed, stalled or ended early; what was kept is resumed from."""

    retryable = True
    remedy: ClassVar[str] = "; trying again goes on from there"

    def __init__(self, url: str, offset: int, reason: str, retry_after_s: float | None = None) -> None:
        self.url, self.offset, self.reason = url, offset, reason
        self.retry_after_s = retry_after_s  # the wait that the server asked for
        if offset or not self.remedy:
            super().__init__(f"{url} broke off at byte {offset}: {reason}{self.remedy}")
        else:
            super().__init__(f"{url} can't be fetched now: {reason}; try again later")


class TransferTooLong(TransferInterrupted):
    """A transfer that used up all its time; not tried again by itself, though what was kept is resumed from."""

    remedy = ""

    def __init__(self, url: str, offset: int, limit_s: float) -> None:
        self.limit_s = limit_s
        reason = f"all {limit_s:g} s that a transfer may take are over; add it again with its image_id to go on"
        super().__init__(url, offset, f"{reason}, or raise IMAGEWRIGHT_TOTAL_TIMEOUT_S")


class SignatureRefused(SourceError):
    """What a publisher should have signed, and has not with one of the keys given."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"{url} is not taken: {reason}; nothing was added, check the keys of the watch")


class ChecksumMismatch(SourceError):
    """The bytes fetched are not those whose checksum the caller gave."""

    def __init__(self, url: str, expected: str, actual: str) -> None:
        self.url, self.expected, self.actual = url, expected, actual
        super().__init__(
            f"{url}: expected checksum {expected}, the bytes have {actual}; nothing was kept; check which of the two is right"
        )
