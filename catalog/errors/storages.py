"""Errors about storages. Import them from `catalog.errors`."""

from collections.abc import Sequence

from catalog.errors.root import ImagewrightError
from catalog.errors.telling import arriving, place

REPAIR = "`imagewright verify-replicas` finds what is damaged and repairs it from another replica"


class StorageError(ImagewrightError):
    """Root of errors about a storage."""


class StorageUnavailable(StorageError):
    """The storage does not answer now."""

    retryable = True

    def __init__(self, storage: str, reason: str) -> None:
        begin, remedy = f"{place(storage)} is unavailable: ", "; try again later"
        self.storage, self.reason = (
            storage,
            reason.removeprefix(begin).removesuffix(remedy),
        )  # some callers pass one of our own sentences
        super().__init__(f"{begin}{self.reason}{remedy}")


class StorageElsewhere(StorageUnavailable):
    """The storage is a directory of another host; here its path would be another disk. storage: name; host: its host."""

    def __init__(self, storage: str, host: str, here: str, *, kind: str = "image storage") -> None:
        self.host, self.here, self.kind = host, here, kind
        sentence = (
            f"{kind} {storage!r} lies on host {host!r}, and this is {here!r}: do it there, or through the Prefect server "
            "that both work for"
        )
        StorageError.__init__(self, sentence)
        self.storage, self.reason = storage, sentence


class HostAway(StorageUnavailable):
    """The only host that can do this takes no runs now. places: what only that host reaches, in words."""

    def __init__(self, host: str, reason: str, places: str) -> None:
        StorageError.__init__(self, f"host {host!r} is away: {reason}; {places}")
        self.host, self.reason, self.places = host, reason, places
        self.storage = host


class StorageRefused(StorageError):
    """The storage refuses access: wrong credentials, wrong pool, wrong format version, or disabled."""

    def __init__(self, storage: str, reason: str) -> None:
        self.storage, self.reason = storage, reason
        super().__init__(f"{place(storage)} refuses: {reason}")


class CapacityExceeded(StorageError):
    """No room for the write. storage: an image storage, a folder by its path, or another place by its name."""

    def __init__(self, storage: str, needed: int, available: int, *, other_place: bool = False) -> None:
        self.storage, self.needed, self.available = storage, needed, available
        where = storage if other_place else place(storage)
        reserve = "" if other_place or storage.startswith("/") else " after its reserve"
        super().__init__(
            f"{where} has {available} bytes left{reserve}; {needed} are needed: make room there or choose another"
        )


class ReplicaInUse(StorageError):
    """The replica is in use: it has clones, or somebody reads it."""

    def __init__(self, image_id: str, storage: str, users: Sequence[str], *, primary: bool = False) -> None:
        self.image_id, self.storage, self.users = image_id, storage, tuple(users)
        kind = "primary" if primary else "image"
        super().__init__(
            f"{image_id} on {kind} storage {storage!r} is still used by {', '.join(self.users)};"
            " delete or flatten these first"
        )


class ObjectMissing(StorageError):
    """An object (pack, index segment, manifest) is missing from its store."""

    def __init__(self, location: str) -> None:
        self.location = location
        super().__init__(f"{location} is missing from its image storage; {REPAIR}")


class DigestMismatch(StorageError):
    """The stored bytes differ from those that were written."""

    retryable = True

    def __init__(self, location: str, expected: str, actual: str) -> None:
        self.location, self.expected, self.actual = location, expected, actual
        super().__init__(f"{location} is not what was stored: expected {expected}, read {actual}; {REPAIR}")


class StaleLanding(StorageError):
    """The landing was fenced off by a reclaim; its bytes are gone and it starts over."""

    retryable = True

    def __init__(self, landing: str) -> None:
        self.landing = landing
        super().__init__(
            f"{arriving(landing)}: what had arrived of it is gone, as space was reclaimed or another run went on with it; "
            "it starts over, or do it again"
        )
