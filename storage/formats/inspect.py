"""The verdict on a stream of bytes: which format, which virtual size, and which rules refuse it.

Nothing is opened: the inspector sees the bytes that pass and keeps about 1 MiB of them. The bytes decide, never a name.
"""

from collections.abc import Iterator

from catalog.errors import FormatMismatch, UnsafeImage
from catalog.records import Finding, ImageFormat, Verdict
from storage.formats import (
    foreign,
    iso,
    qcow2,
    qcow2_header,
    qcow2_snapshots,
    qcow2_tables,
    raw,
    second_opinion,
    signatures,
    vmdk,
    vmdk_header,
    vmdk_tables,
)
from storage.formats.disk import Cached
from storage.formats.regions import HEAD, TAIL, Bytes, Regions
from storage.formats.rules import RULE_SET, Rule

OURS = ("raw", "qcow2", "vmdk", "iso")
SECTOR = 512
MAX_OVERHEAD = 1 << 40
"""No file is larger than the largest virtual size and this much of tables, bytes."""
_ENDLESS = 1 << 62  # the size of a file whose end isn't known yet

TOO_LARGE = Rule(
    "file.virtual-size", 1, "error", "a virtual size of {size} bytes is more than the {limit} allowed"
)
NO_SIZE = Rule("file.no-size", 1, "error", "the virtual size is 0 bytes; an image has at least one sector")
UNSEEN = Rule(
    "file.tables-unseen",
    1,
    "info",
    "some tables lie before what points to them; they are judged from the stored file",
)


class Inspector:
    """Judges one file while it streams. Feed every byte once, in order, in blocks of any size."""

    def __init__(self, max_virtual_size: int) -> None:
        """max_virtual_size: largest virtual size allowed, bytes."""
        self._limit = max_virtual_size
        self._scan: qcow2_tables.TableScan | vmdk_tables.TableScan | None = None
        self._snapshots: qcow2_snapshots.SnapshotScan | None = None
        self._regions = Regions(self._begin_tables)
        self._early: tuple[Finding, ...] | None = None
        self._finished = False

    @property
    def complete(self) -> bool:
        """Tell, after `finish`, whether all tables were seen; if not, `finish_from` judges the rest."""
        return self._regions.complete

    def feed(self, block: memoryview) -> None:
        """Take the next bytes. The block is not kept; it may change afterwards."""
        self._regions.feed(block)

    def skip(self, size_bytes: int, tail: bytes) -> None:
        """Leave out the middle of a stored file of that size; `finish_from` fetches what is needed of it."""
        self._regions.skip(size_bytes, tail)

    def refused_early(self) -> tuple[Finding, ...]:
        """Return errors that no later byte can mend, so that a hopeless transfer can stop. Empty while undecided.

        Decided once about 1 MiB has passed; cheap to ask after each block.
        """
        if self._early is None:
            if not self._regions.head_complete:
                return ()
            head = self._regions.head
            found = self._head_findings(*_detect(head, b"", len(head)), head, _ENDLESS)
            self._early = tuple(f for f in found if f.severity == "error")
        if not self._early and self._regions.size_bytes > self._limit + MAX_OVERHEAD:
            return (TOO_LARGE.found(size=self._regions.size_bytes, limit=self._limit),)
        return self._early

    def finish(self) -> Verdict:
        """Return what the file is, now that the stream is over. Safe to repeat."""
        if not self._finished:
            self._finished = True
            self._regions.finish()
            if isinstance(self._scan, vmdk_tables.TableScan):
                self._scan.end(self._regions.tail)
                self._regions.finish()
        return self._verdict()

    def finish_from(self, source: Bytes) -> Verdict:
        """Like `finish`, fetching from the stored file what the stream showed too late to be judged."""
        self.finish()
        self._regions.complete_from(Cached(source, blocks=8))  # grain tables are 2 KiB each, side by side
        return self._verdict()

    def _begin_tables(self, regions: Regions) -> None:
        head = regions.head
        if head.startswith(b"QFI\xfb"):
            header = qcow2_header.read_header(head)
            sound = not any(f.severity == "error" for f in qcow2.header_findings(head, _ENDLESS))
            self._scan = qcow2_tables.TableScan(header) if header and sound else None
            self._snapshots = qcow2_snapshots.SnapshotScan(header) if header and sound else None
        elif head.startswith(b"KDMV"):
            sparse = vmdk_header.read_header(head)
            sound = not any(f.severity == "error" for f in vmdk.header_findings(head, _ENDLESS))
            self._scan = vmdk_tables.TableScan(sparse) if sparse and sound else None
        if self._scan is not None and _virtual_size("", head, 0) <= self._limit:
            self._scan.begin(regions)
        if self._snapshots is not None:
            self._snapshots.begin(regions)

    def _verdict(self) -> Verdict:
        head, tail, size = self._regions.head, self._regions.tail, self._regions.size_bytes
        if size == 0:
            return _verdict_of("empty", 0, (raw.EMPTY.found(0),))
        detected, offset = _detect(head, tail, size)
        found = (
            *self._head_findings(detected, offset, head, size),
            *_polyglots(detected, head, tail, size),
            *(vmdk.tail_findings(head, tail, size) if detected == "vmdk" else ()),
            *(self._scan.findings(size) if self._scan else ()),
            *(self._snapshots.findings(self._limit, self._regions) if self._snapshots else ()),
        )
        if not any(f.severity == "error" for f in found):
            unseen = () if self._regions.complete else (UNSEEN.found(),)
            found = (*found, *unseen, *second_opinion.findings(detected, head, tail, size))
        return _verdict_of(detected, _virtual_size(detected, head, size), found)

    def _head_findings(self, detected: str, offset: int, head: bytes, size: int) -> Iterator[Finding]:
        yield from self._size_findings(detected, head, 0 if size == _ENDLESS else size)
        if detected == "qcow2":
            yield from qcow2.header_findings(head, size)
        elif detected == "vmdk":
            yield from vmdk.header_findings(head, size)
        elif detected == "iso":
            yield from iso.findings(head, size)
        elif detected == "raw":
            yield from raw.page_findings(head, size)
            yield from raw.disk_findings(head, size)
        else:
            yield from foreign.findings(detected, offset)

    def _size_findings(self, detected: str, head: bytes, size: int) -> Iterator[Finding]:
        virtual = _virtual_size(detected, head, size)
        if virtual > self._limit:
            yield TOO_LARGE.found(_SIZE_AT.get(detected), size=virtual, limit=self._limit)
        elif virtual == 0 and detected == "qcow2" and len(head) >= qcow2_header.HEADER_V2:
            yield NO_SIZE.found(_SIZE_AT["qcow2"])


def inspect_reader(source: Bytes, max_virtual_size: int) -> Verdict:
    """Judge a stored file, e.g. when the rules have changed: the same verdict as on its stream.

    Only its head, its tail and the tables of its format are read, about 1 MiB and 1/8000 of it.
    """
    inspector = Inspector(max_virtual_size)
    inspector.feed(memoryview(source.read_at(0, HEAD)))
    if source.size_bytes > HEAD:
        inspector.skip(source.size_bytes, source.read_at(source.size_bytes - TAIL, TAIL))
    return inspector.finish_from(source)


def check_verdict(verdict: Verdict, declared: ImageFormat) -> None:
    """Let a safe file of the declared format pass.

    Raises UnsafeImage with every error (rule, version, offset), else FormatMismatch naming both formats.
    """
    errors = [f for f in verdict.findings if f.severity == "error"]
    if errors:
        raise UnsafeImage([describe(f) for f in errors])
    if verdict.format != declared:
        raise FormatMismatch(declared, verdict.format, _EVIDENCE.get(verdict.format, ""))


def describe(finding: Finding) -> str:
    """Write a finding as one line for people: sentence, rule, version, offset."""
    place = "" if finding.offset is None else f", byte {finding.offset}"
    return f"{finding.sentence} [{finding.rule} v{finding.rule_version}{place}]"


_SIZE_AT = {"qcow2": 24, "vmdk": 12}
_EVIDENCE = {
    "raw": "no signature of another format",
    "qcow2": "QFI\\xfb at byte 0",
    "vmdk": "KDMV at byte 0",
    "iso": "CD001 or BEA01 at byte 32769",
}


def _detect(head: bytes, tail: bytes, size: int) -> tuple[str, int]:
    first = next(signatures.matches(head, tail, size), None)
    return first or ("raw", 0)


def _polyglots(detected: str, head: bytes, tail: bytes, size: int) -> Iterator[Finding]:
    for other, offset in signatures.matches(head, tail[-TAIL:], size):
        if other != detected:
            yield foreign.POLYGLOT.found(offset, first=detected, second=other, other=offset)
    if detected not in ("raw", "iso") and detected in OURS and signatures.partition_table(head):
        yield foreign.POLYGLOT.found(510, first=detected, second="a partitioned raw disk", other=510)


def _virtual_size(detected: str, head: bytes, size: int) -> int:
    if head.startswith(b"QFI\xfb"):
        header = qcow2_header.read_header(head)
        return header.size_bytes // SECTOR * SECTOR if header else 0
    if head.startswith(b"KDMV"):
        sparse = vmdk_header.read_header(head)
        return sparse.size_bytes if sparse else 0
    return -(-size // SECTOR) * SECTOR if detected in ("raw", "iso") else 0


def _verdict_of(detected: str, virtual: int, findings: tuple[Finding, ...]) -> Verdict:
    return Verdict(format=detected, virtual_size_bytes=virtual, rule_set=RULE_SET, findings=findings)
