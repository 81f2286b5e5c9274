"""Errors about sources. Import them from `catalog.errors`. URLs in these errors are always masked."""

from typing import ClassVar

from catalog.errors.root import ImagewrightError, NotFound


class SourceError(ImagewrightError):
    """Root of errors about a source. URLs in these errors are always masked."""


class SourceNotFound(SourceError):
    """The source has nothing at this address."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"nothing to fetch at {url}: {reason}; check the address")


class SourceForbidden(SourceError):
    """The address may not be fetched from: scheme, network or file root not allowed, or credentials refused."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"{url} may not be fetched: {reason}")


class UploadNotFound(NotFound):
    """No such upload: it was never begun, is complete, or was abandoned."""

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
    """The file at the source changed during the transfer; the landing starts over."""

    retryable = True

    def __init__(self, url: str, before: str, now: str) -> None:
        self.url, self.before, self.now = url, before, now
        super().__init__(f"{url} changed meanwhile (was {before}, is {now}); starting over with what is there now")


class TransferInterrupted(SourceError):
    """The connection failed, stalled or ended early; the transfer resumes from the bytes kept."""

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
    """The transfer exceeded its time limit; it is not retried automatically, but a new one resumes from the bytes kept."""

    remedy = ""

    def __init__(self, url: str, offset: int, limit_s: float) -> None:
        self.limit_s = limit_s
        reason = f"all {limit_s:g} s that a transfer may take are over; add it again with its image_id to go on"
        super().__init__(url, offset, f"{reason}, or raise IMAGEWRIGHT_TOTAL_TIMEOUT_S")


class SignatureRefused(SourceError):
    """No signature by one of the given keys, where the publisher's signature is required."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"{url} is not taken: {reason}; nothing was added, check the keys of the watch")


class ChecksumMismatch(SourceError):
    """The bytes fetched do not match the checksum that the caller gave."""

    def __init__(self, url: str, expected: str, actual: str) -> None:
        self.url, self.expected, self.actual = url, expected, actual
        super().__init__(
            f"{url}: expected checksum {expected}, the bytes have {actual}; nothing was kept; check which of the two is right"
        )
