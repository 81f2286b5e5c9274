"""What image storages can do besides their protocol: asked with isinstance by the operations that need it."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from catalog.errors import DigestMismatch, StorageRefused
from catalog.records import CompactionReport, Image, ReclaimReport, Record, Replica, VerifyReport
from storage.protocols import Digests, ImageStorage, StoredImage


@runtime_checkable
class Clonable(Protocol):
    """An image storage whose replicas can be cloned where they lie."""

    def clones(self, image_id: str) -> tuple[str, ...]:
        """Return the names of everything that was cloned from a replica. Raises ImageNotFound."""
        ...


@runtime_checkable
class Provable(Protocol):
    """An image storage that proves what it keeps piece by piece, and takes good pieces in place of damaged ones."""

    def verify(
        self,
        image_id: str,
        *,
        first_object: int = 0,
        budget_bytes: int | None = None,
        bytes_per_second: int | None = None,
    ) -> tuple[VerifyReport, int | None]:
        """Read and prove a replica; return what was found and the piece to go on with, None at the end.

        Items that failed are damaged: subject `IMAGE_ID@OFFSET`, bytes the length. Raises ImageNotFound where there is no
        replica, DigestMismatch or ObjectMissing where what describes the replica is itself damaged.
        """
        ...

    def repair_object(self, image_id: str, offset: int, data: bytes) -> None:
        """Put good bytes in place of the damaged piece at `offset`. Raises DigestMismatch if they are not that piece."""
        ...


@runtime_checkable
class Measured(Protocol):
    """An image storage that keeps files whose digests are not known from the beginning: those that it made by conversion."""

    def measured(self, image_id: str) -> Digests | None:
        """Return the digests of the stored file if it was measured since, reading nothing of it. Raises ImageNotFound."""
        ...


@runtime_checkable
class Completing(Protocol):
    """An image storage whose publication has a point from which it can only go on."""

    def complete_publication(self, image_id: str) -> None:
        """End a publication that a death broke off past that point; a no-op at any other state.

        Only for who holds the image's lease: whoever else is publishing it is stopped.
        """
        ...


@runtime_checkable
class Reclaimable(Protocol):
    """An image storage on which dead work leaves something behind that takes space."""

    def reclaim(self, keep_landings: AbstractSet[str] | None = None, *, plan_only: bool = False) -> ReclaimReport:
        """Free what no image and no landing needs; landings not in `keep_landings` are discarded. None: all are kept.

        Never touches what a writer is at work on. plan_only: says what would be freed and changes nothing.
        """
        ...


@runtime_checkable
class Compacting(Protocol):
    """An image storage whose images can be put into a smaller form once they are not written any more."""

    name: str

    def compact(
        self,
        until: datetime,
        landing_id: str,
        *,
        budget_bytes: int | None = None,
        plan_only: bool = False,
        holding: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> CompactionReport:
        """Put images written until then into the smallest form; every byte reads as before, at any moment of it.

        budget_bytes: of the images' bytes to read at most. landing_id: under which the work is known to others, one for the
        storage. plan_only: says which images are due and changes nothing. holding: holds an image's lock for a block, raises
        ImageBusy. What an earlier run that died left is taken away.
        Raises CapacityExceeded, StaleLanding where another process did the same meanwhile.
        """
        ...


@runtime_checkable
class Explaining(Protocol):
    """An image storage that keeps images in pieces, and says of each why it is where it is."""

    def chip_holding(self, image_id: str, offset: int) -> bytes:
        """Return the digest of the piece with a byte of an image. Raises ImageNotFound, InvalidRequest where it is a hole."""
        ...

    def why(self, digest: bytes) -> tuple[str, ...]:
        """Return where a piece lies and what keeps it, a sentence each."""
        ...


@runtime_checkable
class ChipCounting(Protocol):
    """An image storage that keeps chips, and knows how many without reading them."""

    def chip_count(self) -> int:
        """Return how many chips it holds. Costs a look at the head of each segment of its index."""
        ...


@runtime_checkable
class Indexed(Protocol):
    """An image storage that finds its images' bytes through an index, which can be lost and written anew."""

    def restore_index(self) -> int:
        """Index what images need and the index lacks; return how many packs. Nothing to do: reads the index and all manifests."""
        ...


class Ailment(Record):
    """Objects of one kind that are damaged. images: those that lose bytes by it; cure: what a repair does."""

    subject: str
    damage: str
    cure: str
    images: tuple[str, ...] = ()


@runtime_checkable
class Repairable(Protocol):
    """An image storage that keeps more than images and their descriptions, and can write some of that anew."""

    def ailments(self) -> Iterator[Ailment]:
        """Yield what is damaged besides descriptions and images' bytes, changing nothing."""
        ...

    def repair(self) -> None:
        """Write anew what can be derived from what is whole."""
        ...


@runtime_checkable
class Replacing(Protocol):
    """An image storage that publishes nothing over a replica that is there, but puts another in its place when it is told to."""

    def replace(self, landing_id: str, image: Image, digests: Digests | None) -> Replica:
        """Publish a finished landing in place of the replica that is there.

        Raises what `delete` and `publish` raise; where `publish` fails, the replica is gone and the landing is kept.
        """
        ...


class KeptExport(Record):
    """A complete file that an image storage keeps. location: a URL; look: changes whenever the file does."""

    location: str
    look: str


@runtime_checkable
class KeepsExports(Protocol):
    """An image storage that also keeps the complete files made of its images, where every host reaches them."""

    def keep_export(self, image_id: str, file: Path) -> KeptExport:
        """Keep a proven file, whole or not at all, in place of an earlier one of its name."""
        ...

    def export_look(self, location: str) -> str | None:
        """Return how a kept file looks now, None where there is none."""
        ...

    def read_export(self, location: str, start: int, end: int) -> bytes:
        """Return bytes `[start, end)` of a kept file. Raises ObjectMissing."""
        ...

    def delete_export(self, location: str) -> None:
        """Delete a kept file; a no-op where there is none."""
        ...

    def kept_exports(self, image_id: str) -> Iterator[str]:
        """Yield where the kept files of an image lie, those that nobody recorded included."""
        ...


Unreadable = DigestMismatch | StorageRefused


@runtime_checkable
class Surveyed(Protocol):
    """An image storage that lists what it holds also where the description of one image is damaged."""

    def described_images(self) -> Iterator[tuple[str, StoredImage | Unreadable]]:
        """List what is published by id; where its description can't be read, why."""
        ...


def put_in_place(storage: ImageStorage, landing_id: str, image: Image, digests: Digests | None) -> Replica:
    """Publish a finished landing in place of the replica that a storage holds, if it holds one."""
    if isinstance(storage, Replacing):
        return storage.replace(landing_id, image, digests)
    return storage.publish(landing_id, image, digests)
