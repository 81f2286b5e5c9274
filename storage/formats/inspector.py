"""The verdict on a stream of bytes: its format, its virtual size, and the rules that refuse it.

Nothing is opened: the inspector sees the bytes as they pass and keeps about 1 MiB of them. Only the bytes decide, never
a name.
"""

from collections.abc import Iterable, Iterator

from catalog.errors import FormatMismatch
from catalog.records import Finding, ImageFormat, Verdict
from storage.formats import foreign, second_opinion
from storage.formats.accepted import insisted, refusal
from storage.formats.blocks import Cached
from storage.formats.raw.rules import EMPTY
from storage.formats.regions import HEAD, TAIL, Bytes, Regions
from storage.formats.registry import FORMATS
from storage.formats.rules import ENDLESS, RULE_SET, Rule, any_error
from storage.formats.scan import Scan
from storage.formats.signatures import RAW, RAW_AS_WELL, detect, matches, partition_table

MAX_OVERHEAD = 1 << 40
"""No file may be larger than the largest virtual size plus this many bytes of tables."""

TOO_LARGE = Rule("file.virtual-size", "a virtual size of {size} bytes is more than the {limit} allowed")
UNSEEN = Rule(
    "file.tables-unseen",
    "some tables lie before what points to them; they are judged from the stored file",
    severity="info",
)


class Inspector:
    """Judges one file while it streams. Feed every byte once, in order, in blocks of any size."""

    def __init__(
        self, max_virtual_size: int, declared: str | None = None, *, accept_unrecognized: bool = False
    ) -> None:
        """max_virtual_size: largest virtual size allowed, bytes.

        declared: the format the caller states; decides only for bytes that are both an ISO and a partitioned disk.
        accept_unrecognized: the caller insists that it is a disk; findings against that become warnings if nothing
        opens the format.
        """
        self._limit, self._declared, self._insisted = max_virtual_size, declared, accept_unrecognized
        self._scans: tuple[Scan, ...] = ()
        self._regions = Regions(self._begin_scans)
        self._early: tuple[Finding, ...] | None = None
        self._finished = False

    @property
    def head(self) -> bytes:
        """The first bytes of the file, about 1 MiB."""
        return self._regions.head

    @property
    def complete(self) -> bool:
        """Tell, after `finish`, whether all tables were seen; if not, `finish_from` judges the rest."""
        return self._regions.complete

    def feed(self, block: memoryview) -> None:
        """Take the next bytes. The block is not kept; it may change afterwards."""
        self._regions.feed(block)

    def skip(self, size_bytes: int, tail: bytes) -> None:
        """Skip the middle of a stored file of this size; `finish_from` fetches what is needed from it."""
        self._regions.skip(size_bytes, tail)

    def refused_early(self) -> tuple[Finding, ...]:
        """Return errors that no later byte can change, so that a hopeless transfer can stop. Empty while undecided.

        Decided once about 1 MiB has passed; cheap to ask after each block.
        """
        if self._early is None:
            if not self._regions.head_complete:
                return ()
            self._early = self.early_verdict().findings
        if not self._early and self._regions.size_bytes > self._limit + MAX_OVERHEAD:
            return (TOO_LARGE.found(size=self._regions.size_bytes, limit=self._limit),)
        return self._early

    def early_verdict(self) -> Verdict:
        """Return the format and the unchangeable errors that the bytes so far show, however few there are."""
        head = self._regions.head
        detected, offset = detect(head, b"", len(head), self._declared)
        found = self._settled(self._head_findings(detected, offset, head, b"", ENDLESS))
        return _verdict_of(detected, 0, tuple(f for f in found if f.severity == "error"))

    def finish(self) -> Verdict:
        """Return the verdict at the end of the stream. Safe to repeat."""
        if not self._finished:
            self._finished = True
            self._regions.finish()
            for scan in self._scans:
                scan.end(self._regions)
            self._regions.finish()
            self._look_closer()
        return self._verdict()

    def finish_from(self, source: Bytes) -> Verdict:
        """Do as `finish`, and fetch from the stored file what the stream showed too late to be judged."""
        self.finish()
        cached = Cached(source, blocks=8)  # grain tables are 2 KiB each and adjacent
        self._regions.complete_from(cached)
        self._look_closer()
        self._regions.complete_from(cached)
        return self._verdict()

    def _look_closer(self) -> None:
        """Check where the tables end, once all of them were seen."""
        if self._regions.complete:
            for scan in self._scans:
                scan.look(self._regions)
            self._regions.finish()

    def _begin_scans(self, regions: Regions) -> None:
        detected, _ = detect(regions.head, b"", regions.size_bytes, self._declared)
        rules = FORMATS.get(detected)
        self._scans = rules.scans(regions.head, self._limit) if rules else ()
        for scan in self._scans:
            scan.begin(regions)

    def _verdict(self) -> Verdict:
        head, tail, size = self._regions.head, self._regions.tail, self._regions.size_bytes
        if size == 0:
            return _verdict_of("empty", 0, (EMPTY.found(0),))
        detected, offset = detect(head, tail, size, self._declared)
        rules = FORMATS.get(detected)
        found = (
            *self._settled(self._head_findings(detected, offset, head, tail, size)),
            *_polyglots(detected, head, tail, size),
            *(rules.ending(head, tail, size) if rules else ()),
            *(finding for scan in self._scans for finding in scan.findings(self._regions, self._limit)),
        )
        if not any_error(found):
            unseen = () if self._regions.complete else (UNSEEN.found(),)
            shown = rules.shown(head) if rules else head
            found = (*found, *unseen, *second_opinion.findings(detected, shown, tail, size))
        return _verdict_of(detected, rules.virtual_size(head, size) if rules else 0, found)

    def _settled(self, found: Iterable[Finding]) -> Iterator[Finding]:
        return insisted(found) if self._insisted else iter(tuple(found))

    def _head_findings(self, detected: str, offset: int, head: bytes, tail: bytes, size: int) -> Iterator[Finding]:
        rules = FORMATS.get(detected)
        if rules is None:
            yield from foreign.findings(detected, offset)
            return
        virtual = rules.virtual_size(head, 0 if size == ENDLESS else size)
        if virtual > self._limit:
            yield TOO_LARGE.found(rules.size_at, size=virtual, limit=self._limit)
        yield from rules.findings(head, tail, size)


def inspect_reader(
    source: Bytes, max_virtual_size: int, declared: str | None = None, *, accept_unrecognized: bool = False
) -> Verdict:
    """Judge a stored file, e.g. when the rules have changed: the same verdict as on its stream.

    Only its head, its tail and the tables of its format are read, about 1 MiB and 1/8000 of it.
    """
    inspector = Inspector(max_virtual_size, declared, accept_unrecognized=accept_unrecognized)
    inspector.feed(memoryview(source.read_at(0, HEAD)))
    if source.size_bytes > HEAD:
        inspector.skip(source.size_bytes, source.read_at(source.size_bytes - TAIL, TAIL))
    return inspector.finish_from(source)


def check_verdict(verdict: Verdict, declared: ImageFormat) -> None:
    """Accept only a safe file of the declared format.

    Raises UnsafeImage with every error (rule, version, offset), else FormatMismatch naming both formats.
    """
    errors = [f for f in verdict.findings if f.severity == "error"]
    if errors:
        raise refusal(errors)
    if verdict.format != declared:
        rules = FORMATS.get(verdict.format)
        raise FormatMismatch(declared, verdict.format, rules.evidence if rules else "")


def _polyglots(detected: str, head: bytes, tail: bytes, size: int) -> Iterator[Finding]:
    """Refuse bytes that match another format as well. A format that states its own size is no raw disk."""
    for other, offset in matches(head, tail, size):
        if other != detected and not (detected == RAW and other in RAW_AS_WELL):
            yield foreign.POLYGLOT.found(offset, first=detected, second=other, other=offset)
    rules = FORMATS.get(detected)
    if rules and rules.size_at is not None and partition_table(head):
        yield foreign.POLYGLOT.found(510, first=detected, second="a partitioned raw disk", other=510)


def _verdict_of(detected: str, virtual: int, findings: tuple[Finding, ...]) -> Verdict:
    return Verdict(format=detected, virtual_size_bytes=virtual, rule_set=RULE_SET, findings=findings)
