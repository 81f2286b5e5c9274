"""What goes on reading a file behind its head: tables, snapshots, bitmaps, boot catalogs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.regions import Regions


class Scan(ABC):
    """One of a file, in this order: begun when the head is known, ended with the stream, told to look, judged."""

    def begin(self, regions: Regions) -> None:  # noqa: B027  # most ask for nothing
        """Ask for what the head points to."""

    def end(self, regions: Regions) -> None:  # noqa: B027  # as begin
        """Ask for what only the end of the stream tells."""

    def look(self, regions: Regions) -> None:  # noqa: B027  # as begin
        """Ask for what matters once all that was asked for was seen."""

    @abstractmethod
    def findings(self, regions: Regions, limit: int) -> Iterator[Finding]:
        """Judge what was seen. limit: largest virtual size allowed, bytes."""
