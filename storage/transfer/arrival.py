"""A file on its way into one or several landings, measured as it passes, resumed after an interruption."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from catalog.errors import ImagewrightError
from catalog.records import Verdict
from storage.formats.accepted import refusal
from storage.formats.inspector import Inspector
from storage.formats.libmagic import with_libmagic
from storage.protocols import Digests, Landing, Progress, Source, SourceInfo, StoredFile
from storage.transfer.bandwidth import Pace
from storage.transfer.digests import Digester
from storage.transfer.receive_buffer import ReceiveBuffer
from storage.transfer.transfer import BLOCK_BYTES, LARGE_BLOCK_BYTES, transfer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Arrived:
    """A complete file. stored: by storage; failed: why a storage does not hold it; checksums: bare hex."""

    digests: Digests
    checksums: Mapping[str, str]
    verdict: Verdict
    stored: Mapping[str, StoredFile]
    failed: Mapping[str, ImagewrightError]


class Arrival:
    """The state of one add within one process: digests and verdict so far, and the remaining landings."""

    def __init__(
        self,
        landings: Mapping[str, Landing],
        max_virtual_size: int,
        extra: Sequence[str] = (),
        pace: Pace | None = None,
        received: ReceiveBuffer | None = None,
        *,
        declared: str | None = None,
        accept_unrecognized: bool = False,
    ) -> None:
        """landings: by name of their storage. extra: hash algorithms wanted besides MD5 and SHA-256.

        pace: limits the reading of the source. received: keeps the bytes in transit for a successor after a death.
        declared, accept_unrecognized: as for the inspector.
        """
        self._landings = dict(landings)
        self._received = received or ReceiveBuffer(None)
        self._failed: dict[str, ImagewrightError] = {}
        self.begun_otherwise: dict[str, SourceInfo] = {}  # landings of an earlier version of the source, by storage
        self._max_virtual_size, self._extra, self._pace = max_virtual_size, tuple(extra), pace
        self._declared, self._insisted = declared, accept_unrecognized
        self._measure_anew()

    @property
    def kept(self) -> int:
        """The number of bytes that all landings have."""
        return self._digester.size_bytes

    def take_up(self, info: SourceInfo) -> int:
        """Resume from what the landings kept of this very source, else start over; return the offset to read from.

        Bytes that one landing kept are copied to the others: nothing is fetched again that any of them has.
        """
        kept = {}
        for name, landing in self._running():
            before = self._try(name, landing.begun_with)
            if before is not None and not before.same_file(info):
                self.begun_otherwise[name] = before
            kept[name] = self._try(name, partial(_kept, landing, info, alone=len(self._landings) == 1)) or 0
        most = max((name for name, _ in self._running()), key=lambda name: kept[name])
        if not kept[most]:
            self._begin_anew(info)
        else:
            for name in [name for name, _ in self._running() if not kept[name]]:
                self._try(name, partial(self._landings[name].begin, info))
            del kept[most]
            self._landings[most].restore(partial(self._pass_on, behind=kept))
        self._received.open(info)
        for view in self._received.since(self.kept):
            self._pass_on(view, behind=dict.fromkeys(self._landings, 0))
        return self.kept

    def start_over(self, info: SourceInfo) -> None:
        """Discard everything kept and measured."""
        self._begin_anew(info)
        self._received.close()
        self._received.open(info)

    def _begin_anew(self, info: SourceInfo) -> None:
        self._close_landings()
        self._measure_anew()
        for name, landing in self._running():
            self._try(name, partial(landing.begin, info))

    def pull(self, source: Source, info: SourceInfo, progress: Progress) -> None:
        """Read the source from `kept` to its end. May be called again after a retryable error."""
        running = self._running()
        with source.open(self.kept, info) as stream:
            moved = transfer(
                stream,
                [landing for _, landing in running],
                self._digester,
                (self._inspect,),
                start=self.kept,
                size_bytes=info.size_bytes,
                progress=progress,
                pace=self._pace,
                block_bytes=LARGE_BLOCK_BYTES if info.local or self._received.active else BLOCK_BYTES,
                note=self._received.note,
            )
        for number, error in moved.failed.items():
            self._drop(running[number][0], error)

    def finish(self) -> Arrived:
        """Make every landing durable and return the measurements."""
        stored = {name: self._try(name, landing.finish) for name, landing in self._running()}
        digests = self._digester.result()
        return Arrived(
            digests=digests,
            checksums={a: self._digester.hexdigest(a) for a in ("md5", "sha256", *self._extra)},
            verdict=self._verdict(),
            stored={name: file for name, file in stored.items() if file is not None},
            failed=dict(self._failed),
        )

    def close(self) -> None:
        """Stop all background work; kept bytes can be resumed. Raises only once everything was closed."""
        with ExitStack() as closing:
            closing.callback(self._received.close)  # last, as a landing may be about to keep its bytes
            self._close_landings()

    def _close_landings(self) -> None:
        with ExitStack() as closing:
            for name, landing in self._landings.items():
                closing.callback(self._close, name, landing)
            self._digester.close()

    def _close(self, name: str, landing: Landing) -> None:
        """Close a landing, even one that was dropped: its threads and connections would stay."""
        if name not in self._failed:
            self._try(name, landing.close)
            return
        with suppress(ImagewrightError):
            landing.close()

    def _measure_anew(self) -> None:
        self._digester = Digester(self._extra)
        self._inspector = Inspector(self._max_virtual_size, self._declared, accept_unrecognized=self._insisted)

    def _running(self) -> list[tuple[str, Landing]]:
        return [(name, landing) for name, landing in self._landings.items() if name not in self._failed]

    def _inspect(self, view: memoryview) -> None:
        self._inspector.feed(view)
        if findings := self._inspector.refused_early():
            raise refusal(findings)

    def _pass_on(self, view: memoryview, behind: Mapping[str, int]) -> None:
        """Measure bytes read back from one landing and give the others those that they lack."""
        offset = self.kept
        self._digester.feed(view)
        self._inspect(view)
        for name, landing in self._running():
            if name in behind and (lacking := view[max(0, behind[name] - offset) :]):
                self._try(name, partial(landing.write, lacking))

    def _verdict(self) -> Verdict:
        verdict = self._inspector.finish()
        if not self._inspector.complete:
            reader = self._running()[0][1].open()  # some tables lie before the entries that point to them
            verdict = self._inspector.finish_from(reader)
        return with_libmagic(verdict, self._inspector.head, accept_unrecognized=self._insisted)

    def _try(self, name: str, step: Callable[[], T]) -> T | None:
        """Run a step with one landing; its failure drops that landing, and is raised if it was the last."""
        try:
            return step()
        except ImagewrightError as error:
            self._drop(name, error)
            return None

    def _drop(self, name: str, error: ImagewrightError) -> None:
        self._failed[name] = error
        if len(self._failed) == len(self._landings):
            raise error


def _kept(landing: Landing, info: SourceInfo, *, alone: bool) -> int:
    """Return how many bytes a landing kept of this very source, and prepare it for more; 0: it must begin anew.

    alone: the caller restores it, so it is enough to tell whether there is anything.
    """
    before = landing.begun_with()
    if before is not None and info.resumable and before.same_file(info):
        return 1 if alone else landing.restore(_ignore)
    return 0


def _ignore(_view: memoryview) -> None:
    return None
