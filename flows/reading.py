"""Commands that only read the catalog. None of them imports Prefect or needs a server."""

from collections.abc import Callable, Iterable
from typing import Annotated

from cyclopts import Parameter

from catalog import open_catalog
from catalog.reading import AVAILABLE
from catalog.records import Record
from flows.output import print_json, print_record, print_table

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print exactly one JSON document.")]


def _print(records: Iterable[Record], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        print_json(records)
    else:
        print_table(records, columns)


def images(*, status: str = "", name_pattern: str = "*", owner: str | None = None,
           account: str | None = None, image_storage: str | None = None, limit: int | None = None,
           as_json: Json = False) -> None:  # fmt: skip
    """List images, newest first."""
    with open_catalog() as catalog:
        found = catalog.images(status=status or AVAILABLE, name_pattern=name_pattern, owner=owner, account=account,
                               image_storage=image_storage, limit=limit)  # fmt: skip
        _print(
            found, ("id", "name", "status", "state", "format_stored", "virtual_size_bytes", "md5"), as_json
        )


def show(image_id: str, *, as_json: Json = False) -> None:
    """Show everything known about one image."""
    with open_catalog() as catalog:
        image = catalog.image(image_id)
        print_json(image) if as_json else print_record(image)
        if not as_json:
            for replica in catalog.replicas(image_id):
                print(
                    f"on {replica.image_storage}: {replica.status}, {replica.location}, verified {replica.verified_at or 'never'}"
                )


def exports(*, as_json: Json = False) -> None:
    """List exported images."""
    with open_catalog() as catalog:
        _print(
            catalog.exports(),
            ("id", "image_id", "image_storage", "format", "size_bytes", "md5", "path"),
            as_json,
        )


def recycle_bin(*, as_json: Json = False) -> None:
    """List deleted images that can still be recovered."""
    with open_catalog() as catalog:
        _print(catalog.bin(), ("id", "name", "deleted_at", "size_bytes", "owner"), as_json)


def leftovers(*, as_json: Json = False) -> None:
    """List raw data kept on a source after a change of storage."""
    with open_catalog() as catalog:
        _print(
            catalog.leftovers(),
            ("id", "image_id", "image_storage", "location", "size_bytes", "moved_to"),
            as_json,
        )


def storages(*, as_json: Json = False) -> None:
    """List image storages."""
    with open_catalog() as catalog:
        _print(
            catalog.image_storages(), ("name", "kind", "url", "state", "connection", "sync_network"), as_json
        )


def volumes(*, as_json: Json = False) -> None:
    """List volumes and VM disks made from images."""
    with open_catalog() as catalog:
        _print(
            catalog.volumes(),
            ("id", "name", "image_id", "primary_storage", "location", "size_bytes"),
            as_json,
        )


def events(image_id: str | None = None, *, as_json: Json = False) -> None:
    """List the event log, of one image or of everything."""
    with open_catalog() as catalog:
        _print(catalog.events(image_id), ("sequence", "at", "kind", "subject", "actor", "run_id"), as_json)


READING: dict[str, Callable[..., None]] = {
    "images": images, "show": show, "exports": exports, "bin": recycle_bin, "leftovers": leftovers,
    "storages": storages, "volumes": volumes, "events": events,
}  # fmt: skip
"""Every reading command: adding one adds a function and a row."""
