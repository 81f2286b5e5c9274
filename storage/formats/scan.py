"""Readers of what lies behind a file's head: tables, snapshots, bitmaps, boot catalogs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.regions import Regions


class Scan(ABC):
    """A reader of one structure of a file; its methods are called in the order in which they stand here."""

    def begin(self, regions: Regions) -> None:  # noqa: B027  # most ask for nothing
        """Request what the head points to."""

    def end(self, regions: Regions) -> None:  # noqa: B027  # as begin
        """Request what only the end of the stream reveals."""

    def look(self, regions: Regions) -> None:  # noqa: B027  # as begin
        """Request final checks once everything requested was seen."""

    @abstractmethod
    def findings(self, regions: Regions, limit: int) -> Iterator[Finding]:
        """Judge what was seen. limit: largest virtual size allowed, bytes."""
