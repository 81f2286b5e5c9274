"""What goes wrong with a storage; to be had from `catalog.errors`."""

from collections.abc import Sequence

from catalog.error import ImagewrightError


def _place(storage: str) -> str:
    """Name an image storage, or a folder where its path is given."""
    return f"folder {storage}" if storage.startswith("/") else f"image storage {storage!r}"


class StorageError(ImagewrightError):
    """Root of what goes wrong with a storage."""


class StorageUnavailable(StorageError):
    """A storage that does not answer now."""

    retryable = True

    def __init__(self, storage: str, reason: str) -> None:
        self.storage, self.reason = storage, reason
        super().__init__(f"{_place(storage)} is unavailable: {reason}")


class StorageRefused(StorageError):
    """A storage that answers and refuses: wrong credentials, wrong pool, wrong format version, disabled."""

    def __init__(self, storage: str, reason: str) -> None:
        self.storage, self.reason = storage, reason
        super().__init__(f"{_place(storage)} refuses: {reason}")


class CapacityExceeded(StorageError):
    """An image storage, a folder where its path is given, or another place by its name has no room for what is to be written."""

    def __init__(self, storage: str, needed: int, available: int, *, other_place: bool = False) -> None:
        self.storage, self.needed, self.available = storage, needed, available
        place = storage if other_place else _place(storage)
        reserve = "" if other_place or storage.startswith("/") else " after its reserve"
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
