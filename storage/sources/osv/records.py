"""From the address of an OSV export to its advisories.

| export | records |
|---|---|
| folder, file:/// | each `.json` in it and below; links are not followed |
| zip | each `.json` in it |
| JSON lines | one per line |
| JSON | the document; each of a list, or of its `vulns` |

All but a folder may be compressed (gz, xz, zst, bz2), and come by every scheme of sources. An unreadable record is
named and left out, since the others are valid; a damaged or oversized export is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from catalog.errors import SourceForbidden, UnsafeImage
from catalog.rules.promotion.vulnerabilities.advisories import Advisory
from catalog.settings import Settings
from storage.sources.file import FileSource
from storage.sources.masking import mask
from storage.sources.osv.folder import in_folder
from storage.sources.osv.pieces import MOST_PIECES, Piece, in_stream
from storage.sources.registry import open_plain
from storage.sources.time_limit import timed

MOST_RECORD, MOST_BYTES = 16 << 20, 16 << 30
MOST_TOLD, MOST_SENTENCE = 20, 300


@dataclass(slots=True)
class Left:
    """The unreadable records of an export. told: a sentence for each of the first twenty."""

    skipped: int = 0
    told: list[str] = field(default_factory=list)

    def note(self, name: str, reason: str) -> None:
        """Count a record, and keep the reason."""
        self.skipped += 1
        if len(self.told) < MOST_TOLD:
            sentence = f"{name[-100:]}: {reason}"[:MOST_SENTENCE]
            self.told.append("".join(c if c.isprintable() else " " for c in sentence))


def advisories(url: str, settings: Settings, left: Left) -> Iterator[Advisory]:
    """Yield the advisories of an export; unreadable ones are noted. Raises SourceForbidden, and as sources do."""
    masked, count, size = mask(url), 0, 0
    for piece in _pieces(url, settings, masked):
        count, size = count + 1, size + len(piece.data)
        if count > MOST_PIECES or size > MOST_BYTES:
            raise SourceForbidden(masked, f"it has more than {MOST_PIECES} records or {MOST_BYTES >> 30} GiB of them")
        found = _read(piece, left)
        if found is not None:
            yield found


def _pieces(url: str, settings: Settings, masked: str) -> Iterator[Piece]:
    source = open_plain(url, settings)
    if isinstance(source, FileSource) and source.is_folder():
        yield from in_folder(source, MOST_RECORD)
        return
    limited = timed(source, settings.total_timeout_s, masked)
    try:
        with limited.open(0, limited.probe()) as stream:
            yield from in_stream(stream, settings, masked, MOST_RECORD)
    except UnsafeImage as error:  # of the archive, worded for images
        raise SourceForbidden(masked, f"it can't be read as an OSV export ({'; '.join(error.findings)})") from error


def _read(piece: Piece, left: Left) -> Advisory | None:
    if piece.refusal or len(piece.data) > MOST_RECORD:
        left.note(piece.name, piece.refusal or f"it has more than {MOST_RECORD >> 20} MiB")
        return None
    try:
        return Advisory.model_validate_json(piece.data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        left.note(piece.name, f"it is no OSV record: {place}{': ' if place else ''}{first['msg']}")
        return None
