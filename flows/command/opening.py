"""Open the source of reading commands, the named service or this host's catalog; and their shared options."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from catalog.records import Record
from flows.client.errors import NotOffered
from flows.command.afar.chosen import service
from flows.command.output import print_json, print_table

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from flows.client.reading import ServiceReading
    from flows.command.here.reading import CatalogReading

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print exactly one JSON document.")]
ImageId = Annotated[str, Parameter(help="Id of the image.")]
Seen = Annotated[str | None, Parameter(help="Only what this account sees; left out: everything.")]
Moment = Annotated[str, Parameter(help="A moment such as 2026-03-01T12:00:00Z; UTC unless a zone is given.")]
Output = Annotated[
    str | None,
    Parameter(help="Write to this path, or URL such as s3://bucket/log.gz, instead; compressed if its suffix says so."),
]


@contextmanager
def opened() -> "Iterator[CatalogReading | ServiceReading]":
    """Open the named service, else this host's catalog."""
    if asked := service():
        with asked as client:
            yield client
        return

    from flows.command.here.reading import reading_here

    with reading_here() as reader:
        yield reader


@contextmanager
def here(what: str) -> "Iterator[Catalog]":
    """Open this host's catalog, for commands that need more than reading. Raises NotOffered if a service is named."""
    if asked := service():
        raise NotOffered(asked.connection.url, what)

    from flows.command.here.reading import reading_here

    with reading_here() as reader:
        yield reader.catalog


def print_listed(records: Iterable[Record], columns: tuple[str, ...], as_json: bool) -> None:
    """Print records as a table of these columns, or as one JSON document."""
    if as_json:
        print_json(records)
    else:
        print_table(records, columns)
