"""What tasks hand to each other about an image on its way in. Plain records: their hash is the same in every process."""

from catalog.records import BootFacts, Finding, Record, Verdict
from storage.protocols import Digests, SourceInfo


class LandedOn(Record):
    """One storage that holds the landing completely, or the reason why it does not."""

    image_storage: str
    landing_id: str
    stored_bytes: int = 0
    error: str | None = None
    away: bool = False  # that may be back: what failed is tried again


class Landed(Record):
    """The file added, measured while it passed. Checksums are `algorithm:hex`, both of the algorithm that was expected."""

    source: SourceInfo
    digests: Digests
    checksum: str
    expected: str | None = None
    verdict: Verdict
    storages: tuple[LandedOn, ...]
    remarks: tuple[str, ...] = ()  # what people should know of how it arrived
    began_at_byte: int = 0  # where this attempt took up a landing kept from before
    seconds: float = 0.0

    @property
    def held(self) -> tuple[LandedOn, ...]:
        """The storages that hold it."""
        return tuple(place for place in self.storages if place.error is None)


class Inspected(Record):
    """What the stored bytes say about booting, and how that agrees with what was declared."""

    boot: BootFacts
    findings: tuple[Finding, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know, as lines."""
        return tuple(f.described for f in self.findings if f.severity == "warning")
