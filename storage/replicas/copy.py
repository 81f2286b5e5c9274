"""Copy a replica to another image storage, and prove the copy by reading it back.

A copy does not count until it was read back whole and has the size and digests that the catalog recorded when the image
was added: a truncated stream looks right from both ends.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from catalog.errors import DigestMismatch
from catalog.privacy import make_folder
from catalog.records import ImageFormat, Record, Replica
from storage.local_files import LocalSource
from storage.protocols import Digests, ImageReader, ImageStorage, Progress, Source, StoredFile
from storage.replicas.source import ReplicaSource, landing_reader, reader_of, stream_of
from storage.transfer.bandwidth import Pace
from storage.transfer.digests import Digester
from storage.transfer.transfer import LARGE_BLOCK_BYTES, transfer


class Copied(Record):
    """A copy that is whole and proven, under its landing name, or published already."""

    landing_id: str
    format: ImageFormat
    digests: Digests  # of the file that the target stores
    stored_bytes: int = 0


def silent(_done: int, _total: int | None) -> None:
    """Ignore progress."""


def recorded(replica: Replica) -> Digests | None:
    """Return the recorded digests of a replica's file; None if it was never measured as a whole."""
    if replica.md5 is None or replica.sha256 is None:
        return None
    return Digests(size_bytes=replica.size_bytes, md5=replica.md5, sha256=replica.sha256)


def measure_reader(reader: ImageReader) -> Digests:
    """Return size and digests of a stored file, reading and proving all of it."""
    digester = Digester()
    try:
        with stream_of(reader) as stream:
            transfer(
                stream,
                (),
                digester,
                size_bytes=reader.size_bytes,
                progress=silent,
                block_bytes=LARGE_BLOCK_BYTES,
            )
    finally:
        digester.close()
    return digester.result()


def prove(reader: ImageReader, expected: Digests, what: str) -> None:
    """Read a stored file whole. Raises DigestMismatch naming `what` if it differs from `expected`."""
    require_equal(what, expected, measure_reader(reader))


def require_equal(what: str, expected: Digests, actual: Digests) -> None:
    """Raise DigestMismatch unless size, MD5 and SHA-256 are equal."""
    if expected != actual:
        raise DigestMismatch(what, _described(expected), _described(actual))


def _described(digests: Digests) -> str:
    return f"{digests.size_bytes} bytes with sha256:{digests.sha256}"


def wanted_format(target: ImageStorage, replica: Replica) -> ImageFormat:
    """Return the format in which the target would store a copy of this replica."""
    return target.stored_format(replica.format)


def copy_replica(
    source: ImageStorage,
    target: ImageStorage,
    replica: Replica,
    landing_id: str,
    *,
    scratch: Path,
    progress: Progress = silent,
    pace: Pace | None = None,
) -> Copied:
    """Return a proven copy of a replica as a landing on the target, resuming an interrupted one.

    The source is only read. Raises DigestMismatch, CapacityExceeded, ConversionFailed and the errors of both storages;
    a copy that reads back differently is deleted, so that the next attempt starts afresh.
    """
    wanted = wanted_format(target, replica)
    if wanted == replica.format:
        made, stored = land(ReplicaSource(source, replica), target, landing_id, progress, pace)
        expected = recorded(replica) or made.model_copy(update={"size_bytes": replica.size_bytes})
        _check_sent(target, landing_id, expected, made)
    else:
        made, stored = _convert(source, target, replica, landing_id, scratch, progress, pace)
    _read_back(target, landing_id, made)
    return Copied(landing_id=landing_id, format=wanted, digests=made, stored_bytes=stored.stored_bytes)


def land(
    source: Source, target: ImageStorage, landing_id: str, progress: Progress = silent, pace: Pace | None = None
) -> tuple[Digests, StoredFile]:
    """Read a source that needs no inspection into a landing, resuming an earlier attempt."""
    info = source.probe()
    landing = target.landing(landing_id)
    digester = Digester()
    try:
        before = landing.begun_with()
        if before is not None and before.same_file(info):
            landing.restore(digester.feed)
        else:
            landing.begin(info)
        start = digester.size_bytes
        with source.open(start, info) as stream:
            transfer(
                stream,
                [landing],
                digester,
                start=start,
                size_bytes=info.size_bytes,
                progress=progress,
                pace=pace,
                block_bytes=LARGE_BLOCK_BYTES,
            )
        stored = landing.finish()
    finally:
        digester.close()
        landing.close()
    return digester.result(), stored


def _convert(
    source: ImageStorage,
    target: ImageStorage,
    replica: Replica,
    landing_id: str,
    scratch: Path,
    progress: Progress,
    pace: Pace | None,
) -> tuple[Digests, StoredFile]:
    """Prove the source, convert it through a scratch file, and land the result."""
    from storage.formats.convert import convert_reader

    expected = recorded(replica)
    make_folder(scratch)
    with TemporaryDirectory(dir=scratch, prefix="move-") as folder:
        with reader_of(source, replica.image_id) as reader:
            if expected is not None:
                prove(reader, expected, f"{replica.location} on {source.name}")
            file = convert_reader(reader, replica.format, wanted_format(target, replica), Path(folder), progress)
        return land(LocalSource(file), target, landing_id, silent, pace)


def _check_sent(target: ImageStorage, landing_id: str, expected: Digests, sent: Digests) -> None:
    try:
        require_equal("the replica that was copied", expected, sent)
    except DigestMismatch:
        target.landing(landing_id).discard()
        raise


def _read_back(target: ImageStorage, landing_id: str, expected: Digests) -> None:
    try:
        with landing_reader(target, landing_id) as reader:
            prove(reader, expected, f"landing {landing_id} on {target.name}")
    except DigestMismatch:
        target.landing(landing_id).discard()
        raise
